"""Graded answers on their way: stored in batches, and ranked while the next batch is stored."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason
from muster_kit.records import record

from muster_scoring.batch_changes import BatchChanges
from muster_scoring.model import Entry
from muster_scoring.session_boards import SessionBoards
from muster_scoring.store import Outcome, ResponseStore, Verdict
from muster_scoring.store_boards import RankChange

_UNRANKED: Final = RankChange(0, 0)

_BATCH: Final = 64
"""So many answers a batch: of three hundred people at once, one batch is being stored, one is being ranked,
and the others are on their way. With half as many, what a commit costs begins to count."""

_PATIENCE: Final = 12
"""So many turns of the loop in which nothing came: an answer is here three or four turns after its call."""


@record
class Landed:
    """What the store did with an answer, and what that did to the participant's place."""

    outcome: Outcome
    rank: RankChange = _UNRANKED


_Queue: TypeAlias = GroupCommit[Entry, Landed]


class Landings:
    """Stores answers, and ranks those that count.

    All sessions share one queue, and no session waits for another: a batch passes over sessions that
    somebody has locked, such as who closes a round. Their answers are BUSY, and are to come again in
    the queue that their session has until nothing is left in it.
    """

    def __init__(self, store: ResponseStore, boards: SessionBoards) -> None:
        self._store = store
        self._boards = boards
        self._shared: _Queue = GroupCommit(
            partial(self._flush, wait=False), follow_up=self._rank, max_items=_BATCH, patience=_PATIENCE
        )
        self._own: dict[str, _Queue] = {}
        self._closed = False

    def put(self, entry: Entry) -> asyncio.Future[Landed]:
        """Store an answer; raises RATE_LIMITED, DRAINING."""
        return self._own.get(entry.seat.session_id, self._shared).put(entry)

    def put_again(self, entry: Entry) -> asyncio.Future[Landed]:
        """Store an answer that was BUSY, once its session is free; raises RATE_LIMITED, DRAINING."""
        if self._closed:
            raise MusterError(Reason.DRAINING)
        session_id = entry.seat.session_id
        queue = self._own.get(session_id)
        if queue is None:
            queue = self._own[session_id] = GroupCommit(
                partial(self._flush, wait=True),
                follow_up=self._rank,
                max_items=_BATCH,
                on_idle=partial(self._own.__delitem__, session_id),
            )
        return queue.put(entry)

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        self._closed = True
        await self._shared.close()
        for queue in tuple(self._own.values()):
            await queue.close()

    async def _flush(self, entries: Sequence[Entry], *, wait: bool) -> Sequence[Landed | BaseException]:
        place_of: dict[tuple[str, str], int] = {}
        unique: list[Entry] = []
        for entry in entries:
            if place_of.setdefault(_key(entry), len(unique)) == len(unique):
                unique.append(entry)
        landed = [
            Landed(outcome) if isinstance(outcome, Outcome) else outcome
            for outcome in await self._store.submit(unique, wait=wait)
        ]
        if len(unique) == len(entries):
            return landed
        told: set[int] = set()
        replies: list[Landed | BaseException] = []
        for entry in entries:
            place = place_of[_key(entry)]
            replies.append(_second(landed[place]) if place in told else landed[place])
            told.add(place)
        return replies

    async def _rank(
        self, entries: Sequence[Entry], landed: Sequence[Landed | BaseException]
    ) -> Sequence[Landed | BaseException]:
        changes = BatchChanges()
        for place, (entry, each) in enumerate(zip(entries, landed, strict=True)):
            if isinstance(each, Landed):
                changes.add(place, entry.seat, each.outcome)
        parts = changes.parts()
        if not parts:
            return landed
        ranked = list(landed)
        applied = await self._boards.apply([part.changes() for part in parts])
        for part, ranks in zip(parts, applied, strict=True):
            for place, outcome, rank in zip(part.places, part.outcomes, ranks, strict=True):
                ranked[place] = Landed(outcome, rank)
        return ranked


def _key(entry: Entry) -> tuple[str, str]:
    return entry.round.round_id, entry.seat.participant_id


def _second(first: Landed | BaseException) -> Landed:
    """What becomes of an answer whose participant had another one to the round in the same batch."""
    if isinstance(first, Landed):
        outcome = first.outcome
        if outcome.verdict is Verdict.BUSY:
            return first
        if outcome.response is not None:
            return Landed(replace(outcome, verdict=Verdict.ANSWERED))
    # The first one was refused for what it was, such as its ticket: this one may fare better.
    return Landed(Outcome(Verdict.STALE))
