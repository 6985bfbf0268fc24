"""Rounds from opening to settling, and seats; for the services that run sessions."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db.engine import Transaction
from muster_kit.errors import MusterError, Reason

from muster_scoring.model import Changes, Round, RoundStats, RoundStatus, Session
from muster_scoring.model_answers import AnswerKey
from muster_scoring.points import ScoringRules
from muster_scoring.session_boards import SessionBoards
from muster_scoring.store import AnswerCodec, Ledger
from muster_scoring.usecases_close import Journal, submit_drafts

T = TypeVar("T")

_REVISIONS: Final = 2**30
"""The first revision is one of these; as many again are left for those that follow."""


class Requests(Protocol):
    """What the kit promises of requests: each has its effect once."""

    async def run(
        self,
        caller: Caller,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out `work` in a transaction of the caller's organization; return the serialized answer."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """When a round opens, and its key and rules as the contract's messages."""

    open_time: datetime
    time_limit: timedelta | None
    answer_key: bytes
    rules: bytes


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round to open."""

    session_id: str
    host_user_id: str
    round_id: str
    block_id: str
    key: AnswerKey
    rules: ScoringRules
    opening: Opening


@dataclass(frozen=True, slots=True)
class Order:
    """What comes with every call of a service: who, for which organization, and how it is answered."""

    caller: Caller
    organization_id: str
    request: Message

    @property
    def actor(self) -> Caller:
        """The caller as one of the organization; PERMISSION_DENIED for a service that acts for another."""
        if not self.caller.acts_for(self.organization_id):
            raise MusterError(Reason.PERMISSION_DENIED, detail="a service that acts for another organization")
        return replace(self.caller, organization_id=self.organization_id)


class Rounds:
    """Opens, pauses, resumes, closes and cancels rounds. Everything here may safely be asked twice."""

    def __init__(
        self,
        requests: Requests,
        boards: SessionBoards,
        codec: AnswerCodec,
        *,
        bind: Callable[[Transaction], Ledger],
    ) -> None:
        """`bind` makes the ledger that a transaction works with."""
        self._requests = requests
        self._boards = boards
        self._codec = codec
        self._bind = bind

    async def open(self, order: Order, wanted: OpenRound, encode: Callable[[Round], Message]) -> bytes:
        """Open a round; one that was opened before is returned as it stands.

        Raises ALREADY_EXISTS when the id is another block's round, or the session's that of a board;
        NOT_FOUND when the session is another organization's.
        """

        async def work(ledger: Ledger) -> tuple[Round, Changes | None]:
            session = await ledger.make_session(wanted.session_id, wanted.host_user_id)
            known = await ledger.round(wanted.round_id)
            if known is not None:
                if (known.session_id, known.block_id) != (wanted.session_id, wanted.block_id):
                    raise MusterError(Reason.ALREADY_EXISTS, detail="the id of another round")
                return known, None
            round_ = _opened(wanted, session)
            journal = Journal(session, ledger.now)
            await ledger.add_round(
                round_,
                journal.next_seq(),
                answer_key=wanted.opening.answer_key,
                rules=wanted.opening.rules,
            )
            await ledger.advance(session.session_id, journal.seq, opened=1)
            return round_, journal.changes()

        return await self._run(order, work, encode)

    async def pause(
        self, order: Order, session_id: str, at: datetime, encode: Callable[[Sequence[Round]], Message]
    ) -> bytes:
        """Stop the clock of the session's open rounds; returns all that are paused."""
        return await self._turn(order, session_id, RoundStatus.OPEN, lambda each: each.pause(at), encode)

    async def resume(
        self, order: Order, session_id: str, at: datetime, encode: Callable[[Sequence[Round]], Message]
    ) -> bytes:
        """Let the clock of the session's paused rounds go on; returns all that are open."""
        return await self._turn(order, session_id, RoundStatus.PAUSED, lambda each: each.resume(at), encode)

    async def close(
        self, order: Order, round_id: str, encode: Callable[[tuple[Round, RoundStats]], Message]
    ) -> bytes:
        """Submit the drafts, settle the points and close a round; a closed one is returned as it is.

        Raises NOT_FOUND, and ROUND_CLOSED when the round was cancelled.
        """

        async def work(ledger: Ledger) -> tuple[tuple[Round, RoundStats], Changes | None]:
            session, round_ = await _locked(ledger, round_id)
            if round_.status is RoundStatus.CLOSED:
                return (round_, await ledger.stats(round_id)), None
            journal = Journal(session, ledger.now)
            closed = round_.close(ledger.now)
            await submit_drafts(ledger, self._codec, round_, closed, journal)
            journal.add(await ledger.settle(round_, journal.seq))
            await ledger.save_round(closed, journal.next_seq())
            await ledger.advance(session.session_id, journal.seq)
            return (closed, await ledger.stats(round_id)), journal.changes()

        return await self._run(order, work, encode)

    async def cancel(self, order: Order, round_id: str, encode: Callable[[Round], Message]) -> bytes:
        """Cancel a round, closed or not, and take back its points. Raises NOT_FOUND."""

        async def work(ledger: Ledger) -> tuple[Round, Changes | None]:
            session, round_ = await _locked(ledger, round_id)
            if round_.status is RoundStatus.CANCELLED:
                return round_, None
            journal = Journal(session, ledger.now)
            journal.add(await ledger.take_back(round_, journal.seq))
            cancelled = round_.cancel()
            await ledger.save_round(cancelled, journal.next_seq())
            await ledger.advance(session.session_id, journal.seq, cancelled=1)
            return cancelled, journal.changes()

        return await self._run(order, work, encode)

    async def update_seat(
        self,
        order: Order,
        session_id: str,
        participant_id: str,
        *,
        minimum_generation: int,
        hidden: bool,
        encode: Callable[[None], Message],
    ) -> bytes:
        """Take older tickets of a seat out of force, and show or hide it on the board."""

        async def work(ledger: Ledger) -> tuple[None, Changes | None]:
            # Who is kicked from the lobby is known here before the first round is.
            session = await ledger.make_session(session_id)
            journal = Journal(session, ledger.now)
            standing = await ledger.update_seat(
                session_id,
                participant_id,
                minimum_generation=minimum_generation,
                hidden=hidden,
                seq=journal.next_seq(),
            )
            journal.add([standing])
            await ledger.advance(session_id, journal.seq)
            return None, journal.changes()

        return await self._run(order, work, encode)

    async def _turn(
        self,
        order: Order,
        session_id: str,
        status: RoundStatus,
        turn: Callable[[Round], Round],
        encode: Callable[[Sequence[Round]], Message],
    ) -> bytes:
        """Turn all rounds of a status into what `turn` makes of them; returns all that are such now."""

        async def work(ledger: Ledger) -> tuple[Sequence[Round], Changes | None]:
            session = await ledger.lock_session(session_id)
            if session is None:
                # No round was opened yet, so there is no clock.
                return (), None
            journal = Journal(session, ledger.now)
            rounds = [each for each in await ledger.rounds(session_id) if each.is_running]
            for place, round_ in enumerate(rounds):
                if round_.status is status:
                    rounds[place] = turn(round_)
                    await ledger.save_round(rounds[place], journal.next_seq())
            if journal.seq == session.seq:
                return rounds, None
            await ledger.advance(session_id, journal.seq)
            return rounds, journal.changes()

        return await self._run(order, work, encode)

    async def _run(
        self,
        order: Order,
        work: Callable[[Ledger], Awaitable[tuple[T, Changes | None]]],
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out `work` once, and then tell of what it changed."""
        changed: Changes | None = None

        async def carry_out(transaction: Transaction) -> T:
            nonlocal changed
            result, changed = await work(self._bind(transaction))
            return result

        reply = await self._requests.run(order.actor, carry_out, request=order.request, encode=encode)
        if changed is not None:
            await self._boards.apply_one(changed)
        return reply


async def _locked(ledger: Ledger, round_id: str) -> tuple[Session, Round]:
    """Return the round and its session, whose lock is taken; the round as it is under the lock."""
    found = await ledger.round(round_id)
    session = await ledger.lock_session(found.session_id) if found else None
    round_ = await ledger.round(round_id)
    if session is None or round_ is None:
        raise MusterError(Reason.NOT_FOUND, detail=f"round {round_id}")
    return session, round_


def _opened(wanted: OpenRound, session: Session) -> Round:
    opening = wanted.opening
    return Round(
        round_id=wanted.round_id,
        session_id=wanted.session_id,
        organization_id=session.organization_id,
        block_id=wanted.block_id,
        ordinal=session.opened_count + 1,
        status=RoundStatus.OPEN,
        # At random: an answer graded by a round of the same id that was deleted must not fit this one.
        revision=1 + secrets.randbelow(_REVISIONS),
        open_time=opening.open_time,
        close_time=None if opening.time_limit is None else opening.open_time + opening.time_limit,
        time_limit=opening.time_limit,
        key=wanted.key,
        rules=wanted.rules,
    )
