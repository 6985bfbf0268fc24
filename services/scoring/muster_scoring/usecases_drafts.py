"""Drafts: answers kept while they are being made, submitted when the round closes without one."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason

from muster_scoring.grading import grade
from muster_scoring.model import Draft, Round, Seat
from muster_scoring.round_cache import RoundCache
from muster_scoring.store import DraftOutcome, ResponseStore, Verdict
from muster_scoring.usecases_responses import Submission, require_seat_in, seat_of

_TRIES: Final = 4
_RETRY_AFTER: Final = timedelta(seconds=1)

_ROUNDS_A_BATCH: Final = 4
"""A participant has few drafts of one round under way at once; who sends more is sent away for a while."""


class Drafts:
    """Keeps the drafts of those who hold tickets."""

    def __init__(self, store: ResponseStore, rounds: RoundCache, clock: Clock) -> None:
        self._store = store
        self._rounds = rounds
        self._clock = clock
        self._group: GroupCommit[Draft, DraftOutcome] = GroupCommit(self._flush)

    async def save(self, caller: Caller, submission: Submission) -> datetime:
        """Keep a draft in place of the last one, and return when it was saved.

        The same request again changes nothing, even after a newer draft. Raises NOT_FOUND,
        ANSWER_MISMATCH, ROUND_CLOSED, ALREADY_ANSWERED, REQUEST_ID_REUSED, TICKET_REVOKED,
        RATE_LIMITED, UNAVAILABLE.
        """
        seat, now = seat_of(caller), self._clock.now()
        round_ = self._rounds.peek(seat.organization_id, submission.round_id)
        for _ in range(_TRIES):
            # What is cached may be outdated, or of a session that was deleted: it refuses nothing.
            if round_ is None or round_.session_id != seat.session_id or not round_.takes_answers(now):
                round_ = await self._rounds.read(seat.organization_id, submission.round_id)
            draft = _draft(seat, round_, submission, now)
            outcome = await self._group.put(draft)
            if outcome.verdict is not Verdict.STALE:
                return _saved(outcome, draft)
            round_ = None
        raise MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail="the round keeps changing")

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        await self._group.close()

    async def _flush(self, drafts: Sequence[Draft]) -> Sequence[DraftOutcome | BaseException]:
        outcomes: list[DraftOutcome | BaseException] = [
            MusterError(Reason.RATE_LIMITED, retry_after=_RETRY_AFTER)
        ] * len(drafts)
        # Each goes to the store, in order, since each has a request that must be known from now on.
        waves: list[list[int]] = []
        seen: defaultdict[tuple[str, str], int] = defaultdict(int)
        for place, draft in enumerate(drafts):
            key = (draft.round.round_id, draft.seat.participant_id)
            if seen[key] == len(waves) < _ROUNDS_A_BATCH:
                waves.append([])
            if seen[key] < len(waves):
                waves[seen[key]].append(place)
                seen[key] += 1
        for wave in waves:
            saved = await self._store.save_drafts([drafts[place] for place in wave])
            for place, outcome in zip(wave, saved, strict=True):
                outcomes[place] = outcome
        return outcomes


def _draft(seat: Seat, round_: Round, submission: Submission, now: datetime) -> Draft:
    require_seat_in(round_, seat)
    if not round_.takes_answers(now):
        raise MusterError(Reason.ROUND_CLOSED)
    # A draft that cannot be graded would be lost when the round closes: tell now.
    grade(round_.key, submission.answer)
    return Draft(
        seat=seat,
        round=round_,
        request_id=submission.request_id,
        fingerprint=hashlib.sha256(submission.packed).digest(),
        answer=submission.packed,
        save_time=now,
    )


def _saved(outcome: DraftOutcome, draft: Draft) -> datetime:
    match outcome.verdict:
        case Verdict.ANSWERED:
            raise MusterError(Reason.ALREADY_ANSWERED)
        case Verdict.REVOKED:
            raise MusterError(Reason.TICKET_REVOKED)
        case Verdict.REPEATED if outcome.fingerprint != draft.fingerprint:
            raise MusterError(Reason.REQUEST_ID_REUSED)
        case _:
            return outcome.save_time
