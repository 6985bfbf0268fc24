"""A board as a client holds it: folded from the views of its watch, over as many streams as it takes."""

import asyncio
from typing import Any, Final

from muster.scoring.v1 import board_service_pb2

from tests.chaos.history import History
from tests.chaos.people import Person

_TOP: Final = 100

Row = tuple[str, int, int]
"""Participant, score and milliseconds."""


class BoardWatch:
    """One person's watch of a session's board."""

    def __init__(self, person: Person, session_id: str) -> None:
        self.history = History(f"{person.name}'s board")
        self._person = person
        self._session_id = session_id
        self._entries: dict[str, Any] = {}
        self._moved = asyncio.Condition()

    @property
    def rows(self) -> list[Row]:
        """The board as it stands, from the best."""
        return [row_of(entry) for entry in sorted(self._entries.values(), key=lambda entry: entry.rank)]

    async def run(self) -> None:
        """Keep it up to date until cancelled."""
        async for frame in self._person.watch(self._open, self.history):
            async with self._moved:
                if frame.HasField("reset"):
                    self._entries.clear()
                elif frame.HasField("view"):
                    self._apply(frame.view)
                self._moved.notify_all()

    async def until_reset(self, count: int) -> None:
        """Wait until it was told to start over so many times."""
        async with asyncio.timeout(15), self._moved:
            await self._moved.wait_for(lambda: self.history.count("reset") >= count)

    async def until_shown(self, rows: list[Row]) -> None:
        """Wait until it shows these rows, as many of them as it was asked for."""
        try:
            async with asyncio.timeout(15), self._moved:
                await self._moved.wait_for(lambda: self.rows == rows[:_TOP])
        except TimeoutError:
            # What it shows instead is what one wants to see.
            assert self.rows == rows[:_TOP]

    def _open(self, after: bytes) -> Any:
        request = board_service_pb2.WatchBoardRequest(board_id=self._session_id, top=_TOP, after=after)
        return self._person.boards.WatchBoard(request, metadata=self._person.metadata)

    def _apply(self, view: Any) -> None:
        if view.full:
            self._entries.clear()
        for entry_id in view.removed_entry_ids:
            self._entries.pop(entry_id, None)
        self._entries.update({entry.entry_id: entry for entry in view.top_entries})


def row_of(entry: Any) -> Row:
    """Return a board's entry as a row."""
    return entry.entry_id, entry.score, entry.total_duration.ToMilliseconds()
