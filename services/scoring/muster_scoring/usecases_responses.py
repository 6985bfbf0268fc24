"""Answers: graded here, stored in batches, ranked, and replied to once they are durable."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.errors import MusterError, Reason
from muster_kit.records import record

from muster_scoring.grading import answer_tokens, grade
from muster_scoring.model import Entry, Response, Round, Seat
from muster_scoring.model_answers import Answer
from muster_scoring.points import score
from muster_scoring.round_cache import RoundCache
from muster_scoring.session_boards import SessionBoards
from muster_scoring.store import ResultStore, Verdict
from muster_scoring.store_boards import RankChange
from muster_scoring.usecases_deliveries import Deliveries, Timing
from muster_scoring.usecases_landing import Landed, Landings

_TRIES: Final = 4
"""A round changes now and then, not several times within one answer; more often is a fault of ours."""

_AGAIN: Final = frozenset({Verdict.STALE, Verdict.BUSY})

_RETRY_AFTER: Final = timedelta(seconds=1)


@record
class Submission:
    """An answer that somebody gives; `packed` is it as the contract's message.

    `delivery_proof` is what the participant holds of the question's delivery, if anything.
    """

    request_id: str
    round_id: str
    answer: Answer
    packed: bytes
    delivery_proof: bytes = b""


@record
class SubmitReply:
    """What became of an answer; `withheld` tells that the participant may not know it yet."""

    response: Response
    round: Round
    rank: RankChange
    withheld: bool


@dataclass(slots=True)
class Attempt:
    """An answer on its way; without a `landing` its round has to be read first."""

    seat: Seat
    submission: Submission
    received_time: datetime
    entry: Entry | None = None
    landing: asyncio.Future[Landed] | None = None

    def suits(self, round_: Round) -> bool:
        """Whether the answer can be graded by a round, and was not refused for that very revision."""
        is_new = self.entry is None or round_.revision > self.entry.round.revision
        is_own = round_.session_id == self.seat.session_id
        return is_new and is_own and round_.takes_answers(self.received_time)

    @property
    def is_on_its_way(self) -> bool:
        """Whether there is nothing to do about it yet but wait."""
        return self.landing is not None and not self.landing.done()

    async def arrive(self) -> None:
        """Wait until it is not on its way."""
        if self.landing is not None and not self.landing.done():
            await asyncio.wait({self.landing})

    @property
    def has_to_go_again(self) -> bool:
        """Whether `finish` would wait, now that it is not on its way."""
        if self.landing is None:
            return True
        is_told = not self.landing.cancelled() and self.landing.exception() is None
        return is_told and self.landing.result().outcome.verdict in _AGAIN

    def abandon(self) -> None:
        """Let nobody wait for it; if it is stored already, it stays."""
        if self.landing is not None:
            self.landing.cancel()


class Responses:
    """Takes the answers of those who hold tickets."""

    def __init__(
        self,
        landings: Landings,
        results: ResultStore,
        rounds: RoundCache,
        boards: SessionBoards,
        deliveries: Deliveries,
        clock: Clock,
    ) -> None:
        """`clock` agrees with the database's: rounds are opened by that one."""
        self._landings = landings
        self._results = results
        self._rounds = rounds
        self._boards = boards
        self._deliveries = deliveries
        self._clock = clock

    async def submit(self, caller: Caller, submission: Submission) -> SubmitReply:
        """Store an answer, once; the same request again is told the same, with the rank of now.

        Raises NOT_FOUND, ANSWER_MISMATCH, ROUND_CLOSED, ALREADY_ANSWERED, REQUEST_ID_REUSED,
        TICKET_REVOKED, RATE_LIMITED, UNAVAILABLE.
        """
        return await self.finish(self.begin(seat_of(caller), submission))

    def begin(self, seat: Seat, submission: Submission) -> Attempt:
        """Put an answer on its way, for who does not wait at once; raises what `submit` does."""
        attempt = Attempt(seat, submission, self._clock.now())
        round_ = self._rounds.peek(seat.organization_id, submission.round_id)
        # What is cached may be outdated: it can let an answer through, but refuses none.
        if round_ is not None and attempt.suits(round_):
            self._send(attempt, round_)
        return attempt

    async def know_round(self, seat: Seat, submission: Submission) -> None:
        """Have the round here, so that many answers to it can be put on their way at once.

        Never fails: whether there is such a round is for `finish` to say.
        """
        if self._rounds.peek(seat.organization_id, submission.round_id) is None:
            with suppress(MusterError):
                await self._rounds.read(seat.organization_id, submission.round_id)

    async def finish(self, attempt: Attempt) -> SubmitReply:
        """Wait until the answer is durable, and return what became of it."""
        for _ in range(_TRIES):
            if attempt.landing is None:
                round_ = await self._round(attempt)
                require_seat_in(round_, attempt.seat)
                if not round_.takes_answers(attempt.received_time):
                    return await self._repeat(attempt, round_)
                self._send(attempt, round_)
            if attempt.landing is not None and attempt.entry is not None:
                landed = await attempt.landing
                if landed.outcome.verdict is Verdict.BUSY:
                    attempt.landing = self._landings.put_again(attempt.entry)
                    landed = await attempt.landing
                # One that nobody has locked is BUSY when it is gone: its round is read anew, and gone too.
                if landed.outcome.verdict not in _AGAIN:
                    return await self._reply(attempt, attempt.entry.round, landed)
            attempt.landing = None
        raise MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail="the round keeps changing")

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        await self._landings.close()

    async def _round(self, attempt: Attempt) -> Round:
        """Return the answer's round, as it is now or, when it is over for good, as it was."""
        organization_id, round_id = attempt.seat.organization_id, attempt.submission.round_id
        cached = self._rounds.peek(organization_id, round_id)
        # Somebody else may have read it since the answer was begun.
        if cached is not None and (not cached.is_running or attempt.suits(cached)):
            return cached
        return await self._rounds.read(organization_id, round_id, suits=attempt.suits)

    def _send(self, attempt: Attempt, round_: Round) -> None:
        require_seat_in(round_, attempt.seat)
        timing = self._deliveries.time(
            attempt.seat, round_, attempt.received_time, attempt.submission.delivery_proof
        )
        attempt.entry = _entry(attempt, round_, timing)
        attempt.landing = self._landings.put(attempt.entry)

    async def _reply(self, attempt: Attempt, round_: Round, landed: Landed) -> SubmitReply:
        outcome = landed.outcome
        if outcome.verdict is Verdict.REVOKED or outcome.response is None:
            spoken_for = attempt.seat.generation is None
            raise MusterError(Reason.PARTICIPANT_STATUS if spoken_for else Reason.TICKET_REVOKED)
        if outcome.verdict is Verdict.ANSWERED:
            _require_repeated(outcome.response, attempt.submission)
            if round_.withholds_feedback:
                # It may be over since it was cached: only new answers are checked against it.
                round_ = await self._rounds.read(attempt.seat.organization_id, round_.round_id)
        return SubmitReply(outcome.response, round_, landed.rank, round_.withholds_feedback)

    async def _repeat(self, attempt: Attempt, round_: Round) -> SubmitReply:
        """The round takes no more answers, but the reply to one that it took is due for ever."""
        seat = attempt.seat
        stored = await self._results.response(seat.organization_id, round_.round_id, seat.participant_id)
        if stored is None:
            raise MusterError(Reason.ROUND_CLOSED)
        _require_repeated(stored, attempt.submission)
        # It may have been cancelled since it was cached: then the reply tells of no points.
        round_ = await self._rounds.read(seat.organization_id, round_.round_id)
        rank = await self._boards.rank_of(seat)
        return SubmitReply(stored, round_, RankChange(rank, rank), round_.withholds_feedback)


def seat_of(caller: Caller) -> Seat:
    """Return the seat that the caller's ticket is for."""
    return Seat(
        session_id=caller.room_id,
        participant_id=caller.participant_id,
        organization_id=caller.organization_id,
        generation=caller.generation,
        display_name=caller.display_name,
    )


def require_seat_in(round_: Round, seat: Seat) -> None:
    """Raise NOT_FOUND when the round is of another session."""
    if round_.session_id != seat.session_id:
        raise MusterError(Reason.NOT_FOUND, detail="a round of another session")


def _entry(attempt: Attempt, round_: Round, timing: Timing) -> Entry:
    submission = attempt.submission
    graded = grade(round_.key, submission.answer)
    return Entry(
        seat=attempt.seat,
        round=round_,
        request_id=submission.request_id,
        answer=submission.packed,
        tokens=answer_tokens(round_.key, submission.answer),
        grade=graded,
        # What the streak is worth is known where the streak is kept.
        parts=score(graded, round_.rules, elapsed=timing.duration, limit=round_.time_limit, streak=0),
        duration=timing.duration,
        delivery_delay=timing.delivery_delay,
        network_credit=timing.network_credit,
        submit_time=attempt.received_time,
    )


def _require_repeated(stored: Response, submission: Submission) -> None:
    """Raise unless the answer that counts is of this very request."""
    if stored.from_draft:
        raise MusterError(Reason.ROUND_CLOSED, detail="the draft was submitted")
    if not submission.request_id or stored.request_id != submission.request_id:
        raise MusterError(Reason.ALREADY_ANSWERED)
    if stored.answer != submission.packed:
        raise MusterError(Reason.REQUEST_ID_REUSED)
