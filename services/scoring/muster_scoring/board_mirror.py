"""One board in this process, for those who watch it: fed by publications, checked against the store."""

from collections.abc import AsyncIterator, Callable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from muster_kit.errors import MusterError
from sortedcontainers import SortedList

from muster_scoring.model_board import BoardChanges, Line
from muster_scoring.views_board import BoardState, BoardView, Placed
from muster_scoring.watermark import Watermark

ReadLines: TypeAlias = Callable[[int], AsyncIterator[tuple[int, Sequence[Line]]]]
"""Reads what changed after a change from the store, by parts, as `BoardSource.lines` returns them."""

_place: Final = itemgetter(0)


class BoardMirror:
    """A board, ordered, with the newest version of every line that was heard of.

    Publications may come in any order, twice or never. What never comes is noticed by `expect`; then
    it is read from the store.
    """

    def __init__(self, read: ReadLines) -> None:
        self._read = read
        self._lines: dict[str, Line] = {}
        self._ranking: SortedList[Placed] = SortedList(key=_place)
        self._mark = Watermark()
        self._is_loaded = False
        self._view: BoardView | None = None
        self._floor_seq = 0
        self._is_whole_due = False

    @property
    def done_seq(self) -> int:
        """The change up to which everything is here."""
        return self._mark.done

    def apply(self, changes: BoardChanges) -> None:
        """Take a publication."""
        for line in changes.lines:
            self._put(line)
        self._mark.advance(changes.first_seq, changes.last_seq)
        if not self._mark.done:
            # There was no board when it was read: where its changes begin is not known here.
            self._is_loaded = False

    def expect(self, seq: int) -> None:
        """Say that the board should have reached `seq` a while ago: if it has not, the rest is read."""
        if self._mark.done < seq:
            self._is_loaded = False

    async def compute(self) -> BoardView | None:
        """Return the board as it is now as the next view; None when nothing changed since the last."""
        last = self._view
        if not self._is_loaded and not await self._reload(must=last is None):
            return None
        if last is not None and last.version == self._mark.done:
            return None
        state = BoardState(tuple(self._ranking), self._lines.copy())
        previous, self._is_whole_due = None if self._is_whole_due else last, False
        self._view = BoardView(self._mark.done, state, previous=previous)
        return self._view

    async def _reload(self, *, must: bool) -> bool:
        since_seq, seq = self._mark.done, -1
        try:
            async for head_seq, lines in self._read(since_seq):
                seq = head_seq if seq < 0 else seq
                for line in lines:
                    self._put(line)
        except MusterError:
            if must:
                raise
            # What is shown is a moment old; whoever said so will say it again.
            return False
        self._mark.advance(since_seq, seq)
        self._is_loaded = True
        return True

    def _begin_anew(self, floor_seq: int) -> None:
        """Forget everything up to a change."""
        newer = [line for line in self._lines.values() if line.version > floor_seq]
        self._lines.clear()
        self._ranking.clear()
        self._floor_seq = floor_seq
        for line in newer:
            self._put(line)
        # Nothing before is missing any more.
        self._mark.advance(0, floor_seq)
        self._is_whole_due = True

    def _put(self, line: Line) -> None:
        if line.version <= self._floor_seq:
            return
        if not line.entry_id:
            self._begin_anew(line.version)
            return
        old = self._lines.get(line.entry_id)
        if old is not None:
            if old.version >= line.version:
                return
            if old.place:
                self._ranking.remove((old.place, old))
                # Who is taken off must not stay in sight of anybody, whatever was missed before.
                self._is_whole_due |= not line.place
        self._lines[line.entry_id] = line
        if line.place:
            self._ranking.add((line.place, line))
