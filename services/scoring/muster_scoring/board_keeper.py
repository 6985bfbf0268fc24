"""Keeps the boards in the index in step with their source: applies, loads, and mends what was lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Background, Singleflight

from muster_scoring.model_board import Line, Position
from muster_scoring.store_boards import BoardIndex, BoardSource, Commit, Page, RankChange

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_AWAY_SECONDS: Final = 0.5
"""So long the index is left alone after it did not answer: nobody's answer waits for a timeout twice."""

_GRACE_SECONDS: Final = 0.5
"""Changes of two processes overtake each other; what is missing for longer than this is lost."""

_LINES_A_CALL: Final = 500
"""The index does nothing else while it takes a call."""

_UNRANKED: Final = RankChange(0, 0)
_EMPTY: Final = Page(0, 0, 0, ())


@dataclass(slots=True)
class _Doubt:
    """A board had not reached `seq` when it should have; `newest_seq` was noticed since."""

    organization_id: str
    seq: int
    newest_seq: int


class BoardKeeper:
    """Boards of one source: fast from the index, right from the source whenever the index is not.

    The source is the truth and always first. What fails in the index is never an error of whoever
    caused the change: ranks are unknown then, and the board is loaded anew as soon as that is possible.
    """

    def __init__(self, index: BoardIndex, source: BoardSource) -> None:
        self._index = index
        self._source = source
        self._background = Background()
        self._loads = Singleflight()
        self._doubts: dict[str, _Doubt] = {}
        self._mending: asyncio.Task[None] | None = None
        self._away_until = 0.0

    @property
    def source(self) -> BoardSource:
        """The truth of these boards."""
        return self._source

    async def apply(self, commits: Sequence[Commit]) -> list[Sequence[RankChange]]:
        """Put committed changes on their boards, and return the ranks of their lines; never fails."""
        applied = await self._ask(lambda: self._index.apply([commit.changes for commit in commits]))
        ranks: list[Sequence[RankChange]] = []
        for commit, result in zip(commits, applied or [None] * len(commits), strict=True):
            changes = commit.changes
            if result is None or result.done_seq < changes.last_seq:
                self._doubt(changes.board_id, commit.organization_id, changes.last_seq)
            ranks.append(result.ranks if result else [_UNRANKED] * len(changes.lines))
        return ranks

    async def apply_one(self, commit: Commit) -> None:
        """Like `apply`, for what may concern everybody; a board that is not held is loaded at once."""
        for part in _parts(commit):
            await self.apply([part])
        board_id = commit.changes.board_id
        if board_id in self._doubts and not self._is_away():
            await self._mend(board_id)

    async def rank_of(self, board_id: str, entry_id: str) -> int:
        """Return the rank of an entry; 0 when it has none, or it is not known."""
        page = await self._ask(lambda: self._index.around(board_id, entry_id, radius=0))
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

    async def lines(self, organization_id: str, board_id: str) -> tuple[int, list[Line]]:
        """Return a whole board as the source has it, and the change up to which it is complete."""
        seq, lines = -1, list[Line]()
        async for head_seq, part in self._line_parts(organization_id, board_id):
            seq = head_seq if seq < 0 else seq
            lines += part
        return seq, lines

    async def remove(self, board_id: str) -> None:
        """Remove a board that the source has no more; nothing happens while it does. Raises UNAVAILABLE."""
        if not await self._source.heads([board_id]):
            await self._index.remove(board_id)

    async def close(self) -> None:
        """Stop mending."""
        await self._background.close()
        await self._loads.close()

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
        page = await self._ask(from_index)
        if page is not None and page.done_seq >= seq:
            return page
        self._doubt(board_id, organization_id, seq)
        return await from_source()

    async def _line_parts(
        self, organization_id: str, board_id: str
    ) -> AsyncIterator[tuple[int, Sequence[Line]]]:
        after = ""
        while True:
            head_seq, lines = await self._source.lines(
                organization_id, board_id, since_seq=0, after=after, limit=_LINES_A_CALL
            )
            yield head_seq, lines
            if len(lines) < _LINES_A_CALL:
                return
            after = lines[-1].entry_id

    async def _ask(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return what the index answers; None while it is away."""
        if self._is_away():
            return None
        try:
            return await ask()
        except MusterError as error:
            if error.reason is not Reason.UNAVAILABLE:
                raise
            if self._away_until == 0:
                _log.warning("board_index_away", detail=error.detail)
            self._away_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
            return None

    def _is_away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until

    def _doubt(self, board_id: str, organization_id: str, seq: int) -> None:
        doubt = self._doubts.get(board_id)
        if doubt is None:
            self._doubts[board_id] = _Doubt(organization_id, seq, seq)
        else:
            doubt.newest_seq = max(doubt.newest_seq, seq)
        if self._mending is None or self._mending.done():
            self._mending = self._background.spawn(self._keep_mending(), name="mend_boards")

    async def _keep_mending(self) -> None:
        while self._doubts:
            await asyncio.sleep(_GRACE_SECONDS)
            for board_id in list(self._doubts):
                if not await self._mend(board_id):
                    break

    async def _mend(self, board_id: str) -> bool:
        """Load a board anew if it still lacks what it should have had a while ago.

        False when nothing can be mended now.
        """
        if (doubt := self._doubts.get(board_id)) is None:
            return True
        checked_seq, noticed_seq = doubt.seq, doubt.newest_seq
        try:
            page = await self._index.page(board_id, after=None, limit=1)
            if page is None or page.done_seq < checked_seq:
                await self._loads.run(board_id, lambda: self._load(doubt.organization_id, board_id))
                checked_seq = noticed_seq
        except MusterError as error:
            _log.debug("board_not_mended", board_id=board_id, detail=error.detail)
            return False
        self._away_until = 0.0
        if doubt.newest_seq > checked_seq:
            doubt.seq = doubt.newest_seq
        else:
            self._doubts.pop(board_id, None)
        return True

    async def _load(self, organization_id: str, board_id: str) -> None:
        seq, lines = await self.lines(organization_id, board_id)
        await self._index.load(board_id, seq, lines)
        # It may have been deleted while it was read: whoever did that has removed the board already.
        await self.remove(board_id)
        _log.info("board_loaded", board_id=board_id, entries=len(lines), seq=seq)


def _parts(commit: Commit) -> list[Commit]:
    """Cut a commit into calls of a bearable size; only with the last one is it complete."""
    changes = commit.changes
    cuts = range(0, max(1, len(changes.lines)), _LINES_A_CALL)
    return [
        replace(
            commit,
            changes=replace(
                changes,
                last_seq=changes.last_seq if cut == cuts[-1] else changes.first_seq,
                lines=changes.lines[cut : cut + _LINES_A_CALL],
            ),
        )
        for cut in cuts
    ]
