"""The boards of sessions: made of standings, which answers change."""

from collections.abc import Callable, Collection, Mapping, Sequence

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.model import Changes, Seat, Standing
from muster_scoring.model_board import BoardChanges, Line, Position, position_of
from muster_scoring.session_cache import SessionCache
from muster_scoring.store import ResultStore
from muster_scoring.store_boards import Commit, Page, RankChange, RankedStandings


class SessionSource:
    """The BoardSource of sessions; a board has the id of its session."""

    def __init__(
        self, results: ResultStore, sessions: SessionCache, *, pack: Callable[[Standing], bytes]
    ) -> None:
        """`pack` makes the contract's entry of a standing, without a rank."""
        self._results = results
        self._sessions = sessions
        self._pack = pack

    def line_of(self, standing: Standing) -> Line:
        """Return a standing's line on the board."""
        if not standing.is_on_board:
            return Line(standing.participant_id, standing.version, b"", b"")
        place = position_of(standing).encode()
        return Line(standing.participant_id, standing.version, place, self._pack(standing))

    async def head_seq(self, organization_id: str, board_id: str) -> int:
        """Return the session's last change."""
        session = await self._sessions.get(organization_id, board_id)
        return session.seq if session else 0

    async def heads(self, board_ids: Collection[str]) -> Mapping[str, int]:
        """Return the last change of each session."""
        return await self._results.heads(board_ids)

    async def lines(
        self, organization_id: str, board_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Line]]:
        """Return lines of those who changed; who takes part without answers has no place."""
        seq, standings = await self._results.standings(
            organization_id, board_id, since_seq=since_seq, after=after, limit=limit
        )
        return seq, [self.line_of(standing) for standing in standings]

    async def page(self, organization_id: str, board_id: str, *, after: Position | None, limit: int) -> Page:
        """Return lines after a position, from the best."""
        return self._page(
            await self._results.ranked_page(organization_id, board_id, after=after, limit=limit)
        )

    async def around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return a participant with the neighbours."""
        return self._page(
            await self._results.ranked_around(organization_id, board_id, entry_id, radius=radius)
        )

    def _page(self, found: RankedStandings) -> Page:
        lines = [self.line_of(standing) for standing in found.standings]
        return Page(found.head_seq, found.first_rank, found.entry_count, lines)


class SessionBoards:
    """Puts what became of answers on the boards of sessions."""

    def __init__(self, keeper: BoardKeeper, source: SessionSource) -> None:
        self._keeper = keeper
        self._source = source

    async def apply(self, changes: Sequence[Changes]) -> list[Sequence[RankChange]]:
        """Put committed changes on their boards, and return the ranks of their standings; never fails."""
        return await self._keeper.apply([self._commit(each) for each in changes])

    async def apply_one(self, changes: Changes) -> None:
        """Like `apply`, for what may concern everybody; a board that is not held is loaded at once."""
        await self._keeper.apply_one(self._commit(changes))

    async def rank_of(self, seat: Seat) -> int:
        """Return the rank of a participant; 0 when they have none, or it is not known."""
        return await self._keeper.rank_of(seat.session_id, seat.participant_id)

    async def remove(self, session_id: str) -> None:
        """Remove the board of a session that is deleted. Raises UNAVAILABLE."""
        await self._keeper.remove(session_id)

    def _commit(self, changes: Changes) -> Commit:
        lines = tuple(map(self._source.line_of, changes.standings))
        board = BoardChanges(changes.session_id, changes.first_seq, changes.last_seq, lines)
        return Commit(changes.organization_id, board)
