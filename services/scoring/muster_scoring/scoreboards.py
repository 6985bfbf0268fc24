"""The boards that services make, as boards: whose they are, and where their lines come from."""

from collections.abc import Collection, Mapping, Sequence

from muster_scoring.fresh import Fresh
from muster_scoring.model_board import Line, Position
from muster_scoring.model_scoreboards import Scoreboard
from muster_scoring.store_boards import Page
from muster_scoring.store_scores import ScoreboardStore


class ScoreboardCache(Fresh[str, Scoreboard]):
    """Boards by id, of whatever organization, read anew when what is here is older than a second."""

    def __init__(self, store: ScoreboardStore) -> None:
        super().__init__(store.find)


class ScoreboardSource:
    """The BoardSource of boards that services make."""

    def __init__(self, store: ScoreboardStore, cache: ScoreboardCache) -> None:
        self._store = store
        self._cache = cache

    async def head_seq(self, organization_id: str, board_id: str) -> int:
        """Return the board's last change."""
        board = await self._cache.get(board_id)
        return board.seq if board is not None and board.organization_id == organization_id else 0

    async def heads(self, board_ids: Collection[str]) -> Mapping[str, int]:
        """Return the last change of each board, in its present season."""
        return await self._store.heads(board_ids)

    async def lines(
        self, organization_id: str, board_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Line]]:
        """Return lines that changed."""
        return await self._store.lines(
            organization_id, board_id, since_seq=since_seq, after=after, limit=limit
        )

    async def page(self, organization_id: str, board_id: str, *, after: Position | None, limit: int) -> Page:
        """Return lines after a position, from the best."""
        return await self._store.ranked_page(organization_id, board_id, after=after, limit=limit)

    async def around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return an entry with its neighbours."""
        return await self._store.ranked_around(organization_id, board_id, entry_id, radius=radius)
