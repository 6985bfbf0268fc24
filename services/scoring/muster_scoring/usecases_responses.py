"""Answers: graded here, stored in batches, ranked, and replied to once they are durable."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason

from muster_scoring.batch_changes import BatchChanges
from muster_scoring.grading import answer_tokens, grade
from muster_scoring.model import Entry, Response, Round, Seat
from muster_scoring.model_answers import Answer
from muster_scoring.points import score
from muster_scoring.round_cache import RoundCache
from muster_scoring.session_boards import SessionBoards
from muster_scoring.store import Outcome, ResponseStore, ResultStore, Verdict
from muster_scoring.store_boards import RankChange
from muster_scoring.usecases_deliveries import Deliveries, Timing

_TRIES: Final = 4
"""A round changes now and then, not several times within one answer; more often is a fault of ours."""

_UNRANKED: Final = RankChange(0, 0)
_RETRY_AFTER: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Submission:
    """An answer that somebody gives; `packed` is it as the contract's message.

    `delivery_proof` is what the participant holds of the question's delivery, if anything.
    """

    request_id: str
    round_id: str
    answer: Answer
    packed: bytes
    delivery_proof: bytes = b""


@dataclass(frozen=True, slots=True)
class SubmitReply:
    """What became of an answer; `withheld` tells that the participant may not know it yet."""

    response: Response
    round: Round
    rank: RankChange
    withheld: bool


@dataclass(frozen=True, slots=True)
class _Landed:
    outcome: Outcome
    rank: RankChange = _UNRANKED


@dataclass(slots=True)
class Attempt:
    """An answer on its way; without a `landing` its round has to be read first."""

    seat: Seat
    submission: Submission
    received_time: datetime
    round: Round | None = None
    landing: asyncio.Future[_Landed] | None = None

    def suits(self, round_: Round) -> bool:
        """Whether the answer can be graded by a round, and was not refused for that very revision."""
        is_new = self.round is None or round_.revision > self.round.revision
        is_own = round_.session_id == self.seat.session_id
        return is_new and is_own and round_.takes_answers(self.received_time)

    def abandon(self) -> None:
        """Let nobody wait for it; if it is stored already, it stays."""
        if self.landing is not None:
            self.landing.cancel()


class Responses:
    """Takes the answers of those who hold tickets."""

    def __init__(
        self,
        store: ResponseStore,
        results: ResultStore,
        rounds: RoundCache,
        boards: SessionBoards,
        deliveries: Deliveries,
        clock: Clock,
    ) -> None:
        """`clock` agrees with the database's: rounds are opened by that one."""
        self._store = store
        self._results = results
        self._rounds = rounds
        self._boards = boards
        self._deliveries = deliveries
        self._clock = clock
        self._group: GroupCommit[Entry, _Landed] = GroupCommit(self._flush)

    async def submit(self, caller: Caller, submission: Submission) -> SubmitReply:
        """Store an answer, once; the same request again is told the same, with the rank of now.

        Raises NOT_FOUND, ANSWER_MISMATCH, ROUND_CLOSED, ALREADY_ANSWERED, REQUEST_ID_REUSED,
        TICKET_REVOKED, RATE_LIMITED, UNAVAILABLE.
        """
        return await self.finish(self.begin(caller, submission))

    def begin(self, caller: Caller, submission: Submission) -> Attempt:
        """Put an answer on its way, for who does not wait at once; raises what `submit` does."""
        attempt = Attempt(seat_of(caller), submission, self._clock.now())
        round_ = self._rounds.peek(caller.organization_id, submission.round_id)
        # What is cached may be outdated: it can let an answer through, but never refuse one.
        if round_ is not None and attempt.suits(round_):
            self._send(attempt, round_)
        return attempt

    async def finish(self, attempt: Attempt) -> SubmitReply:
        """Wait until the answer is durable, and return what became of it."""
        for _ in range(_TRIES):
            if attempt.landing is None:
                round_ = await self._rounds.read(
                    attempt.seat.organization_id,
                    attempt.submission.round_id,
                    suits=attempt.suits,
                )
                require_seat_in(round_, attempt.seat)
                if not round_.takes_answers(attempt.received_time):
                    return await self._repeat(attempt, round_)
                self._send(attempt, round_)
            if attempt.landing is not None and attempt.round is not None:
                landed = await attempt.landing
                if landed.outcome.verdict is not Verdict.STALE:
                    return await self._reply(attempt, attempt.round, landed)
            attempt.landing = None
        raise MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail="the round keeps changing")

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        await self._group.close()

    def _send(self, attempt: Attempt, round_: Round) -> None:
        require_seat_in(round_, attempt.seat)
        attempt.round = round_
        timing = self._deliveries.time(
            attempt.seat, round_, attempt.received_time, attempt.submission.delivery_proof
        )
        attempt.landing = self._group.put(_entry(attempt, round_, timing))

    async def _reply(self, attempt: Attempt, round_: Round, landed: _Landed) -> SubmitReply:
        outcome = landed.outcome
        if outcome.verdict is Verdict.REVOKED or outcome.response is None:
            raise MusterError(Reason.TICKET_REVOKED)
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
        rank = await self._boards.rank_of(seat)
        return SubmitReply(stored, round_, RankChange(rank, rank), round_.withholds_feedback)

    async def _flush(self, entries: Sequence[Entry]) -> Sequence[_Landed | BaseException]:
        place_of: dict[tuple[str, str], int] = {}
        unique: list[Entry] = []
        for entry in entries:
            if place_of.setdefault(_key(entry), len(unique)) == len(unique):
                unique.append(entry)
        landed = await self._land(unique)
        if len(unique) == len(entries):
            return landed
        told: set[int] = set()
        replies: list[_Landed | BaseException] = []
        for entry in entries:
            place = place_of[_key(entry)]
            replies.append(_second(landed[place]) if place in told else landed[place])
            told.add(place)
        return replies

    async def _land(self, entries: Sequence[Entry]) -> list[_Landed | BaseException]:
        outcomes = await self._store.submit(entries)
        changes = BatchChanges()
        for place, (entry, outcome) in enumerate(zip(entries, outcomes, strict=True)):
            if isinstance(outcome, Outcome):
                changes.add(place, entry.seat, outcome)
        ranks = await self._rank(changes)
        return [
            _Landed(outcome, ranks.get(place, _UNRANKED)) if isinstance(outcome, Outcome) else outcome
            for place, outcome in enumerate(outcomes)
        ]

    async def _rank(self, batch: BatchChanges) -> dict[int, RankChange]:
        parts = batch.parts()
        if not parts:
            return {}
        ranked = await self._boards.apply([part.changes() for part in parts])
        return {
            place: rank
            for part, ranks in zip(parts, ranked, strict=True)
            for place, rank in zip(part.places, ranks, strict=True)
        }


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


def _key(entry: Entry) -> tuple[str, str]:
    return entry.round.round_id, entry.seat.participant_id


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


def _second(first: _Landed | BaseException) -> _Landed:
    """What becomes of an answer whose participant had another one to the round in the same batch."""
    if isinstance(first, BaseException) or first.outcome.response is None:
        # The first one was refused for what it was, such as its ticket: this one may fare better.
        return _Landed(Outcome(Verdict.STALE))
    outcome = Outcome(Verdict.ANSWERED, response=first.outcome.response, standing=first.outcome.standing)
    return _Landed(outcome, RankChange(first.rank.after, first.rank.after))
