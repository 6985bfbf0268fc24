"""Finding a session by its code and key, in a way that makes guessing hopeless."""

import asyncio
from typing import Protocol, cast

from muster_kit.caller import Caller
from muster_kit.db.idempotency import Claim
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Singleflight

from muster_session.guessing import Guesser, network_of
from muster_session.join_codes import normalize
from muster_session.model import Session, Visibility
from muster_session.store_directory import EarlierAnswer, Guess, Guesses, Undecided


class Keys(Protocol):
    """Hashes keys and verifies them."""

    async def hash(self, key: str) -> str:
        """Return what to store of a key."""
        ...

    def remembers(self, key_hash: str, key: str) -> bool:
        """Tell whether the key is known to be the one, without a verification."""
        ...

    async def verify(self, key_hash: str, key: str) -> bool:
        """Tell whether the key is the one; an empty hash fits none, after just as long a time."""
        ...


class CodeDesk:
    """Looks up sessions by code, for callers who may be guessing."""

    def __init__(self, guesses: Guesses, keys: Keys) -> None:
        self._guesses = guesses
        self._keys = keys
        self._trials = Singleflight()
        self._first_trials: dict[tuple[str, str, str], asyncio.Event] = {}

    async def preview(self, caller: Caller, address: str, typed_code: str) -> Session:
        """Return the live session with the code; MusterError: JOIN_REFUSED, RATE_LIMITED."""
        guess = _guess(caller, address, typed_code)
        found = await self._guesses.make(guess, lambda session: session is not None)
        # It repeats no request, and is judged at once.
        return cast("Session", found)

    async def admit(
        self, caller: Caller, address: str, typed_code: str, *, key: str, request: Claim | None
    ) -> Session | EarlierAnswer:
        """Return the live session with the code, for who has its key as well if it has one.

        Whatever is wrong, the answer is JOIN_REFUSED, and takes as long; else RATE_LIMITED. A
        request that was answered before gets that answer, whatever became of the session.
        """
        guess = _guess(caller, address, typed_code, request)
        if key:
            # Goes on without the caller: a right key is to be forgiven.
            return await self._trials.run((guess, key), lambda: self._admit_with_key(guess, key))
        return cast("Session | EarlierAnswer", await self._guesses.make(guess, _is_open))

    async def _admit_with_key(self, guess: Guess, key: str) -> Session | EarlierAnswer:
        """Let the first of those who give the same key try it alone.

        Once it is known to fit, the rest of the class neither waits nor counts while it is verified.
        """
        same = (guess.organization_id, guess.join_code, key)
        if (first := self._first_trials.get(same)) is not None:
            await first.wait()
            return await self._try(guess, key)
        first = self._first_trials[same] = asyncio.Event()
        try:
            return await self._try(guess, key)
        finally:
            del self._first_trials[same]
            first.set()

    async def _try(self, guess: Guess, key: str) -> Session | EarlierAnswer:
        found = await self._guesses.make(guess, lambda session: self._opens(session, key) or None)
        if not isinstance(found, Undecided):
            return found
        session = found.session
        # Verified also without a session, to take as long. Should too many wait for that, the guess
        # still counts: a key that is known to fit does not have to wait, so the refusal tells something.
        fits = await self._keys.verify(session.key_hash if session is not None else "", key)
        if session is None or not fits:
            raise MusterError(Reason.JOIN_REFUSED)
        await self._guesses.forgive(guess, found)
        return session

    def _opens(self, session: Session | None, key: str) -> bool:
        return _is_open(session) or (session is not None and self._keys.remembers(session.key_hash, key))


def _guess(caller: Caller, address: str, typed_code: str, request: Claim | None = None) -> Guess:
    return Guess(
        organization_id=caller.organization_id,
        guesser=Guesser(caller.subject, network_of(address)),
        join_code=normalize(typed_code),
        request=request,
    )


def _is_open(session: Session | None) -> bool:
    return session is not None and session.settings.visibility is not Visibility.PRIVATE
