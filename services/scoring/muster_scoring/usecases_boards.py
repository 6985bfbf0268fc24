"""Reads of a session's board."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.model_board import Position
from muster_scoring.session_cache import SessionCache
from muster_scoring.store_boards import Page
from muster_scoring.usecases_access import Doors

_PAGE_SIZE: Final = 50
_RADIUS: Final = 3


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """A session's board; `create_time` is None until its first round opens."""

    board_id: str
    entry_count: int
    create_time: datetime | None


class Boards:
    """Boards of sessions, for those who are in the session or run it."""

    def __init__(self, keeper: BoardKeeper, doors: Doors, sessions: SessionCache) -> None:
        self._keeper = keeper
        self._doors = doors
        self._sessions = sessions

    async def info(self, caller: Caller, board_id: str) -> BoardInfo:
        """Return what a board is. Raises NOT_FOUND, PERMISSION_DENIED; so do all of these."""
        access = await self._doors.enter(caller, board_id)
        session = await self._sessions.get(access.organization_id, board_id)
        page = await self._keeper.page(access.organization_id, board_id, after=None, limit=1)
        return BoardInfo(board_id, page.entry_count, session.create_time if session else None)

    async def page(
        self, caller: Caller, board_id: str, *, after: Position | None, page_size: int
    ) -> tuple[Page, Position | None]:
        """Return lines after a position, from the best, and where the next page goes on, if there is one."""
        access = await self._doors.enter(caller, board_id)
        limit = page_size or _PAGE_SIZE
        page = await self._keeper.page(access.organization_id, board_id, after=after, limit=limit)
        is_last = page.first_rank + len(page.lines) > page.entry_count
        if is_last or not page.lines:
            return page, None
        return page, Position.decode(page.lines[-1].place)

    async def around(self, caller: Caller, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return an entry with its neighbours; NOT_FOUND also when it is not on the board."""
        access = await self._doors.enter(caller, board_id)
        return await self._around(access.organization_id, board_id, entry_id, radius or _RADIUS)

    async def entry(self, caller: Caller, board_id: str, entry_id: str) -> Page:
        """Return one entry, as a page of its own; NOT_FOUND also when it is not on the board."""
        access = await self._doors.enter(caller, board_id)
        return await self._around(access.organization_id, board_id, entry_id, 0)

    async def _around(self, organization_id: str, board_id: str, entry_id: str, radius: int) -> Page:
        page = await self._keeper.around(organization_id, board_id, entry_id, radius=radius)
        if not page.lines:
            raise MusterError(Reason.NOT_FOUND, detail=f"entry {entry_id}")
        return page
