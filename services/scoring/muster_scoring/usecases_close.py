"""The last moment of a round: drafts become answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from muster_scoring.grading import answer_tokens, grade
from muster_scoring.model import Changes, Entry, Round, RoundStatus, SavedDraft, Seat, Session, Standing
from muster_scoring.points import score
from muster_scoring.store import AnswerCodec, Ledger, Verdict

_DRAFTS_A_BATCH: Final = 256

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_TICK: Final = timedelta(microseconds=100)
"""No session has more changes than so many for long; and Lua, in Redis, writes such numbers out exactly."""


class Journal:
    """What a transaction changed in its session so far; `seq` is the last change.

    Changes are numbered from the time of the first: whatever is left somewhere of a deleted session with
    the same id has lower numbers, and is not taken for newer than what is.
    """

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._first_seq = self.seq = session.seq or (now - _EPOCH) // _TICK
        self._standings: list[Standing] = []

    def next_seq(self) -> int:
        """Number one more change."""
        self.seq += 1
        return self.seq

    def add(self, standings: Sequence[Standing]) -> None:
        """Note standings, numbered by whoever changed them."""
        self._standings += standings
        self.seq = max([self.seq, *(standing.version for standing in standings)])

    def changes(self) -> Changes:
        """Return all of it."""
        return Changes(
            session_id=self._session.session_id,
            organization_id=self._session.organization_id,
            first_seq=self._first_seq,
            last_seq=self.seq,
            standings=tuple(self._standings),
        )


async def submit_drafts(
    ledger: Ledger, codec: AnswerCodec, round_: Round, closed: Round, journal: Journal
) -> None:
    """Submit the drafts of those who gave no answer, as of the close: no points for speed.

    `round_` is as it was, `closed` as it will be.
    """
    drafts = await ledger.drafts(round_.round_id)
    if drafts and round_.status is RoundStatus.PAUSED:
        # The store takes answers to open rounds alone; this one is open for its last moment.
        round_ = replace(round_, status=RoundStatus.OPEN, revision=round_.revision + 1)
        await ledger.save_round(round_, journal.seq)
    for start in range(0, len(drafts), _DRAFTS_A_BATCH):
        batch = [_entry(codec, each, round_, closed) for each in drafts[start : start + _DRAFTS_A_BATCH]]
        for outcome in await ledger.submit(batch):
            # Those who were sent away meanwhile are left out.
            if outcome.verdict is Verdict.ACCEPTED and outcome.standing is not None:
                journal.add([outcome.standing])


def _entry(codec: AnswerCodec, draft: SavedDraft, round_: Round, closed: Round) -> Entry:
    answer = codec.read_answer(draft.answer)
    graded = grade(round_.key, answer)
    close_time = closed.close_time or round_.open_time
    elapsed = closed.elapsed(close_time)
    parts = score(graded, round_.rules, elapsed=elapsed, limit=round_.time_limit, streak=0)
    return Entry(
        seat=Seat(
            session_id=round_.session_id,
            participant_id=draft.participant_id,
            organization_id=round_.organization_id,
            generation=draft.generation,
            display_name=draft.display_name,
        ),
        round=round_,
        request_id="",
        answer=draft.answer,
        tokens=answer_tokens(round_.key, answer),
        grade=graded,
        parts=replace(parts, speed=0),
        duration=elapsed,
        submit_time=close_time,
    )
