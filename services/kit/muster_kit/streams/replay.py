"""Reads back events that the ring no longer holds, with one query for all streams that want them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from muster_kit.streams.background import Singleflight
from muster_kit.streams.run import Run
from muster_kit.streams.shelf import Shelf

ReadRuns: TypeAlias = Callable[[int, int], Awaitable[Sequence[Run]]]
"""Reads from the log: (after_seq, at most so many events)."""

# Past every event there can be: when all who asked have gone, the query finds nothing.
_NOBODY: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Page:
    after_seq: int
    runs: Sequence[Run]

    def covers(self, seq: int) -> bool:
        """Whether the log was asked for `seq`, and so would have given it."""
        return self.after_seq < seq and (not self.runs or seq <= self.runs[-1].last_seq)


class Replay:
    """The past of one room, for streams that return or lag.

    Streams that ask at once are served by one query, which begins at the event that the furthest
    back of them wants; what was read stays on a shelf for those who come next.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._shelf = self._new_shelf()
        self._flights = Singleflight()
        self._wanted: dict[object, int] = {}

    async def find(self, seq: int, *, read: ReadRuns, end: Callable[[], int]) -> Run | None:
        """Return the run that holds event `seq`, or None when the log does not have it.

        `read` is asked for what is not here; `end` says, when it is, before which event reading may stop.
        """
        asker = object()
        self._wanted[asker] = seq
        try:
            while (run := self._shelf.get(seq)) is None:
                shelf = self._shelf
                page = await self._flights.run(shelf, partial(self._fetch, shelf, read, end))
                if page.covers(seq):
                    # From the page itself: a small shelf may have lost the run again.
                    return next((run for run in page.runs if run.first_seq <= seq <= run.last_seq), None)
            return run
        finally:
            del self._wanted[asker]

    def clear(self) -> None:
        """Forget what was read, also what is being read now: it may be of a log that was replaced."""
        self._shelf = self._new_shelf()

    async def close(self) -> None:
        """Stop reading."""
        await self._flights.close()

    def _new_shelf(self) -> Shelf:
        return Shelf(max_events=2 * self._max_events, max_bytes=self._max_bytes)

    async def _fetch(self, shelf: Shelf, read: ReadRuns, end: Callable[[], int]) -> _Page:
        # A flight starts when all streams of this turn of the loop have said what they want.
        after_seq = min(self._wanted.values(), default=_NOBODY) - 1
        limit = min(self._max_events, max(end() - after_seq - 1, 1))
        runs = await read(after_seq, limit)
        for run in runs:
            shelf.add(run)
        return _Page(after_seq, runs)
