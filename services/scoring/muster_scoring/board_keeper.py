"""Boards as callers see them: the index as long as it is right, and the source whenever it is not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from muster_scoring.board_mender import BoardMender
from muster_scoring.model_board import Line, Position
from muster_scoring.store_boards import BoardIndex, BoardSource, Commit, Page, RankChange

_UNRANKED: Final = RankChange(0, 0)
_EMPTY: Final = Page(0, 0, 0, ())


class BoardKeeper:
    """Boards of one source: fast from the index, right from the source whenever the index is not.

    The source is the truth and always first. What fails in the index is never an error of whoever
    caused the change: ranks are unknown then, and the board is loaded anew as soon as that is possible.
    """

    def __init__(self, index: BoardIndex, source: BoardSource) -> None:
        self._index = index
        self._source = source
        self._mender = BoardMender(index, source)

    @property
    def source(self) -> BoardSource:
        """The truth of these boards."""
        return self._source

    async def apply(self, commits: Sequence[Commit], *, ranked: bool = True) -> list[Sequence[RankChange]]:
        """Put committed changes on their boards, and return the ranks of their lines; never fails.

        Not all lines may have ranks unless `ranked`.
        """
        changed = [commit.changes for commit in commits]
        applied = await self._mender.ask(lambda: self._index.apply(changed, ranked=ranked))
        ranks: list[Sequence[RankChange]] = []
        for commit, result in zip(commits, applied or [None] * len(commits), strict=True):
            changes = commit.changes
            if result is None or result.done_seq < changes.last_seq:
                self._mender.doubt(commit.organization_id, changes.board_id, changes.last_seq)
            ranks.append(result.ranks if result else [_UNRANKED] * len(changes.lines))
        return ranks

    async def apply_one(self, commit: Commit) -> None:
        """Like `apply`, for what may concern everybody; a board that is not held is loaded at once."""
        for call in commit.calls():
            await self.apply([call])
        await self._mender.mend(commit.changes.board_id)

    async def rank_of(self, board_id: str, entry_id: str) -> int:
        """Return the rank of an entry; 0 when it has none, or it is not known."""
        page = await self._mender.ask(lambda: self._index.around(board_id, entry_id, radius=0))
        return page.first_rank if page else 0

    async def page(self, organization_id: str, board_id: str, *, after: Position | None, limit: int) -> Page:
        """Return lines after a position, from the best."""
        return await self._read(
            organization_id,
            board_id,
            lambda: self._index.page(board_id, after=after, limit=limit),
            lambda: self._source.page(organization_id, board_id, after=after, limit=limit),
        )

    async def around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        return await self._read(
            organization_id,
            board_id,
            lambda: self._index.around(board_id, entry_id, radius=radius),
            lambda: self._source.around(organization_id, board_id, entry_id, radius=radius),
        )

    def parts(
        self, organization_id: str, board_id: str, since_seq: int
    ) -> AsyncIterator[tuple[int, Sequence[Line]]]:
        """Read from the source what changed after `since_seq`, as `BoardSource.lines` returns it."""
        return self._mender.parts(organization_id, board_id, since_seq)

    async def epochs(self, boards: Mapping[str, tuple[str, int]]) -> Mapping[str, bytes]:
        """Return the epochs of the boards that the index holds; none while it is away.

        `boards` gives organization and last change by id. Those that are not held are loaded soon.
        """
        held = await self._mender.ask(lambda: self._index.held(list(boards))) if boards else None
        epochs: dict[str, bytes] = {}
        for (board_id, (organization_id, seq)), found in zip(boards.items(), held or (), strict=False):
            if found is not None:
                epochs[board_id] = found.epoch
            if seq and (found is None or found.done_seq < seq):
                self._mender.doubt(organization_id, board_id, seq)
        return epochs

    async def epoch(self, organization_id: str, board_id: str) -> bytes:
        """Return a board's epoch in the index; b"" when it is not held, or that is not known."""
        seq = await self._source.head_seq(organization_id, board_id)
        epochs = await self.epochs({board_id: (organization_id, seq)})
        return epochs.get(board_id, b"")

    async def remove(self, board_id: str) -> None:
        """Remove a board that the source has no more; nothing happens while it does. Raises UNAVAILABLE."""
        await self._mender.remove(board_id)

    async def close(self) -> None:
        """Stop mending."""
        await self._mender.close()

    async def _read(
        self,
        organization_id: str,
        board_id: str,
        from_index: Callable[[], Awaitable[Page | None]],
        from_source: Callable[[], Awaitable[Page]],
    ) -> Page:
        # Changes whose word was lost, with all who knew of them, are noticed here at the latest.
        seq = await self._source.head_seq(organization_id, board_id)
        if not seq:
            # Whatever the index may hold is of a board that was deleted.
            return _EMPTY
        page = await self._mender.ask(from_index)
        if page is not None and page.done_seq >= seq:
            return page
        self._mender.doubt(organization_id, board_id, seq)
        return await from_source()
