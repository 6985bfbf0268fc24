"""Publishes committed runs of events, in order, without anybody waiting for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

import structlog

from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError

_log = structlog.get_logger(__name__)

_PUBLISH_SECONDS: Final = 5.0
_MAX_RUNS: Final = 256
_MAX_WAITING: Final = 4096


class Publisher(Protocol):
    """What the write path asks of a publisher; `muster_kit.streams` has one."""

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        """Send a committed run; `events[i]` has seq `first_seq + i`."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive events of one room's log."""

    room_id: str
    epoch: int
    first_seq: int
    events: Sequence[bytes]

    def followed_by(self, other: "Run") -> "Run | None":
        """Return both as one run, or None when something lies between them."""
        if (self.epoch, self.first_seq + len(self.events)) != (other.epoch, other.first_seq):
            return None
        return Run(self.room_id, self.epoch, self.first_seq, [*self.events, *other.events])


class Publications:
    """The way from commit to publication.

    A room's runs go out in the order of their commits, those that wait for each other as one. What
    cannot be published is dropped: the log has it, and watchers find it there.
    """

    def __init__(self, publisher: Publisher, *, max_waiting: int = _MAX_WAITING) -> None:
        """Of so many runs that wait the next ones are dropped."""
        self._publisher = publisher
        self._queue: GroupCommit[Run, None] = GroupCommit(
            self._publish, max_items=_MAX_RUNS, max_waiting=max_waiting
        )

    def offer(self, run: Run) -> None:
        """Publish a run soon."""
        try:
            self._queue.put(run)
        except MusterError as error:
            _log.warning(
                "publication_dropped", room_id=run.room_id, first_seq=run.first_seq, error=str(error)
            )

    async def close(self) -> None:
        """Publish what is left."""
        await self._queue.close()

    async def _publish(self, runs: Sequence[Run]) -> Sequence[None]:
        # The sort is stable: within a room the order stays.
        by_room = groupby(sorted(runs, key=attrgetter("room_id")), key=attrgetter("room_id"))
        await asyncio.gather(*(self._publish_room(list(of_room)) for _, of_room in by_room))
        return [None] * len(runs)

    async def _publish_room(self, runs: Sequence[Run]) -> None:
        for run in joined(runs):
            try:
                async with asyncio.timeout(_PUBLISH_SECONDS):
                    await self._publisher.publish(run.room_id, run.epoch, run.first_seq, run.events)
            except Exception as error:  # noqa: BLE001 - what is committed must not fail any more
                _log.warning(
                    "publication_lost", room_id=run.room_id, first_seq=run.first_seq, error=repr(error)
                )


def joined(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of one room with adjacent ones made into one."""
    result: list[Run] = []
    for run in runs:
        if result and (both := result[-1].followed_by(run)):
            result[-1] = both
        else:
            result.append(run)
    return result
