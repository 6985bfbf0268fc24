"""Finding a session by its code and key, in a way that makes guessing hopeless."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never, Protocol

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Singleflight

from muster_session.join_codes import normalize
from muster_session.model import Session, Visibility
from muster_session.store_directory import Directory, GuessLimiter


class Keys(Protocol):
    """Hashes keys and verifies them."""

    async def hash(self, key: str) -> str:
        """Return what to store of a key."""
        ...

    async def verify(self, key_hash: str, key: str) -> bool:
        """Tell whether the key is the one; an empty hash fits none, after just as long a time."""
        ...


class CodeDesk:
    """Looks up sessions by code, for callers who may be guessing.

    One user's look-ups follow one another, so that guesses made at once are counted like those
    made one after the other.
    """

    def __init__(self, directory: Directory, guesses: GuessLimiter, keys: Keys) -> None:
        self._directory = directory
        self._guesses = guesses
        self._keys = keys
        self._finding = Singleflight()
        self._turns: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    async def preview(self, caller: Caller, address: str, typed_code: str) -> Session:
        """Return the live session with the code; MusterError: JOIN_REFUSED, RATE_LIMITED."""
        async with self._turn(caller, address):
            session = await self._find(caller.organization_id, normalize(typed_code))
            return session or await self._refuse(caller, address)

    async def admit(self, caller: Caller, address: str, typed_code: str, key: str) -> Session:
        """Return the live session with the code, for who has its key as well if it has one.

        Whatever is wrong, the answer is JOIN_REFUSED, and takes as long; else RATE_LIMITED.
        """
        async with self._turn(caller, address):
            session = await self._find(caller.organization_id, normalize(typed_code))
            fits = await self._fits(session, key)
            return session if session and fits else await self._refuse(caller, address)

    async def _find(self, organization_id: str, join_code: str) -> Session | None:
        # A whole class types the same code at once. What was found is looked at again when it is used.
        return await self._finding.run(
            (organization_id, join_code), lambda: self._directory.find_by_code(organization_id, join_code)
        )

    async def _fits(self, session: Session | None, key: str) -> bool:
        is_private = session is not None and session.settings.visibility is Visibility.PRIVATE
        if session is not None and not is_private:
            return True
        if not key:
            return False
        return await self._keys.verify(session.key_hash if session is not None else "", key)

    async def _refuse(self, caller: Caller, address: str) -> Never:
        await self._guesses.failed(caller.organization_id, caller.subject, address)
        raise MusterError(Reason.JOIN_REFUSED)

    @asynccontextmanager
    async def _turn(self, caller: Caller, address: str) -> AsyncIterator[None]:
        who = (caller.organization_id, caller.subject)
        lock, waiting = self._turns.get(who) or (asyncio.Lock(), 0)
        self._turns[who] = (lock, waiting + 1)
        try:
            async with lock:
                wait = await self._guesses.wait(caller.organization_id, caller.subject, address)
                if wait is not None:
                    raise MusterError(Reason.RATE_LIMITED, retry_after=wait, detail="guesses")
                yield
        finally:
            lock, waiting = self._turns[who]
            if waiting == 1:
                del self._turns[who]
            else:
                self._turns[who] = (lock, waiting - 1)
