"""Reads of boards: those of sessions, and those that services make."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster_kit.caller import Caller, CallerKind
from muster_kit.clock import Clock
from muster_kit.errors import MusterError, Reason

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.model_board import Position
from muster_scoring.model_scoreboards import Scoreboard
from muster_scoring.scoreboards import ScoreboardCache
from muster_scoring.session_cache import SessionCache
from muster_scoring.store_boards import Commit, Page
from muster_scoring.usecases_access import Doors

_RADIUS: Final = 3


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """A session's board; `create_time` is None until its first round opens."""

    board_id: str
    entry_count: int
    create_time: datetime | None


@dataclass(frozen=True, slots=True)
class Sight:
    """A board that a caller may see; `scoreboard` is None for a session's.

    `entry_id` is the caller's own entry, empty for those who have none.
    """

    keeper: BoardKeeper
    organization_id: str
    entry_id: str
    scoreboard: Scoreboard | None = None


class BoardDoors:
    """Lets callers see boards.

    A session's is for those who are in it or run it; one that a service made, for services and for those
    who run things in the organization. A ticket is for the board of its session alone.
    """

    def __init__(
        self,
        doors: Doors,
        session_keeper: BoardKeeper,
        scoreboards: ScoreboardCache,
        score_keeper: BoardKeeper,
        clock: Clock,
    ) -> None:
        """`clock` agrees with the database's, which ends seasons."""
        self._doors = doors
        self._session_keeper = session_keeper
        self._scoreboards = scoreboards
        self._score_keeper = score_keeper
        self._clock = clock

    async def enter(self, caller: Caller, board_id: str, *, afresh: bool = False) -> Sight:
        """Let a caller see a board in its present season. Raises NOT_FOUND, PERMISSION_DENIED.

        What services change is seen everywhere within a second, or at once if it is read `afresh`.
        """
        if afresh:
            self._scoreboards.forget(board_id)
        board = None if caller.is_ticket else await self._scoreboards.get(board_id)
        if board is None or not caller.acts_for(board.organization_id):
            access = await self._doors.enter(caller, board_id)
            return Sight(self._session_keeper, access.organization_id, access.participant_id)
        if board.season_is_over(self._clock.now()):
            board = await self._turn(board)
        entry_id = caller.subject if caller.kind is CallerKind.USER else ""
        return Sight(self._score_keeper, board.organization_id, entry_id, board)

    async def _turn(self, board: Scoreboard) -> Scoreboard:
        await self._score_keeper.source.heads([board.board_id])
        self._scoreboards.forget(board.board_id)
        turned = await self._scoreboards.get(board.board_id)
        if turned is None:
            raise MusterError(Reason.NOT_FOUND, detail=f"board {board.board_id}")
        await self._score_keeper.apply_one(Commit(turned.organization_id, turned.beginning()))
        return turned


class Boards:
    """What can be read of boards. All of these raise NOT_FOUND and PERMISSION_DENIED."""

    def __init__(self, doors: BoardDoors, sessions: SessionCache) -> None:
        self._doors = doors
        self._sessions = sessions

    async def info(self, caller: Caller, board_id: str) -> tuple[BoardInfo, Scoreboard | None]:
        """Return what a board is, and the settings of one that a service made."""
        sight = await self._doors.enter(caller, board_id, afresh=True)
        page = await sight.keeper.page(sight.organization_id, board_id, after=None, limit=1)
        if sight.scoreboard is not None:
            board = sight.scoreboard
            return BoardInfo(board_id, page.entry_count, board.create_time), board
        session = await self._sessions.get(sight.organization_id, board_id)
        return BoardInfo(board_id, page.entry_count, session.create_time if session else None), None

    async def page(
        self, caller: Caller, board_id: str, *, after: Position | None, page_size: int
    ) -> tuple[Page, Position | None]:
        """Return lines after a position, from the best, and where the next page goes on, if there is one."""
        sight = await self._doors.enter(caller, board_id)
        page = await sight.keeper.page(sight.organization_id, board_id, after=after, limit=page_size)
        is_last = page.first_rank + len(page.lines) > page.entry_count
        if is_last or not page.lines:
            return page, None
        return page, Position.decode(page.lines[-1].place)

    async def around(self, caller: Caller, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return an entry with its neighbours; NOT_FOUND also when it is not on the board."""
        return await self._around(caller, board_id, entry_id, radius or _RADIUS)

    async def entry(self, caller: Caller, board_id: str, entry_id: str) -> Page:
        """Return one entry, as a page of its own; NOT_FOUND also when it is not on the board."""
        return await self._around(caller, board_id, entry_id, 0)

    async def _around(self, caller: Caller, board_id: str, entry_id: str, radius: int) -> Page:
        sight = await self._doors.enter(caller, board_id)
        page = await sight.keeper.around(sight.organization_id, board_id, entry_id, radius=radius)
        if not page.lines:
            raise MusterError(Reason.NOT_FOUND, detail=f"entry {entry_id}")
        return page
