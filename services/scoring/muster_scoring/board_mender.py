"""Makes boards in the index whole again: after a loss, a crash, or a time in which it was away."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Background, Singleflight

from muster_scoring.model_board import BoardChanges, Line
from muster_scoring.store_boards import LINES_A_CALL, BoardIndex, BoardSource

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_GRACE_SECONDS: Final = 0.5
"""Changes of two processes overtake each other; what is missing for longer than this is lost."""

_SHORTEST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 2.0

_PATIENCE_SECONDS: Final = 0.5
"""So long a caller waits for a board that is mended; a large one takes longer."""


@dataclass(slots=True)
class _Doubt:
    """A board had not reached `seq` at the loop's time `noted`; `newest_seq` was noticed since."""

    organization_id: str
    seq: int
    newest_seq: int
    noted: float

    def renew(self) -> None:
        """Give what was noticed since the same grace."""
        self.seq = self.newest_seq
        self.noted = asyncio.get_running_loop().time()


class BoardMender:
    """Looks after the boards that may lack something, and after an index that is away.

    While it is away nobody asks it anything but the one task here, with growing pauses: no caller
    waits for an index that does not answer, except those who are the first to find out.
    """

    def __init__(self, index: BoardIndex, source: BoardSource) -> None:
        self._index = index
        self._source = source
        self._background = Background()
        self._flights = Singleflight()
        self._doubts: dict[str, _Doubt] = {}
        self._task: asyncio.Task[None] | None = None
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS
        self._is_away = False

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Return what the index answers; None while it is away."""
        if self._is_away:
            return None
        try:
            return await ask()
        except MusterError as error:
            if error.reason is not Reason.UNAVAILABLE:
                raise
            self._leave(error)
            return None

    def doubt(self, organization_id: str, board_id: str, seq: int) -> None:
        """Say that a board should have reached `seq`; it is mended if it does not do so by itself."""
        doubt = self._doubts.get(board_id)
        if doubt is None:
            now = asyncio.get_running_loop().time()
            self._doubts[board_id] = _Doubt(organization_id, seq, seq, now)
        else:
            doubt.newest_seq = max(doubt.newest_seq, seq)
        self._begin()

    async def mend(self, board_id: str) -> None:
        """Mend a board at once, if it is in doubt; returns when it is whole, or after a moment."""
        if self._is_away or board_id not in self._doubts:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._mend(board_id)

    async def parts(
        self, organization_id: str, board_id: str, since_seq: int
    ) -> AsyncIterator[tuple[int, Sequence[Line]]]:
        """Read what changed on a board after `since_seq`, part by part, as `BoardSource.lines` returns it."""
        after = ""
        while True:
            head_seq, lines = await self._source.lines(
                organization_id, board_id, since_seq=since_seq, after=after, limit=LINES_A_CALL
            )
            yield head_seq, lines
            if len(lines) < LINES_A_CALL:
                return
            after = lines[-1].entry_id

    async def remove(self, board_id: str) -> None:
        """Remove a board that the source has no more; nothing happens while it does. Raises UNAVAILABLE."""
        if not await self._source.heads([board_id]):
            await self._index.remove(board_id)

    async def close(self) -> None:
        """Stop mending."""
        await self._background.close()
        await self._flights.close()

    def _leave(self, error: MusterError) -> None:
        if not self._is_away:
            _log.warning("board_index_away", detail=error.detail)
        self._is_away = True
        self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._background.spawn(self._run(), name="mend_boards")

    async def _run(self) -> None:
        while self._doubts or self._is_away:
            # Not all processes at once: what one has mended needs no other.
            await asyncio.sleep(self._pause_seconds * random.uniform(0.5, 1))  # noqa: S311 - spreads load
            if await self._look():
                self._pause_seconds = _SHORTEST_PAUSE_SECONDS
            else:
                self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _look(self) -> bool:
        """Mend what lacks something; False when there was nothing to do, or nothing could be done."""
        try:
            await self._index.ping()
            board_ids = list(self._doubts)
            held = dict(zip(board_ids, await self._index.held(board_ids), strict=True))
        except MusterError as error:
            self._leave(error)
            return False
        was_away, self._is_away = self._is_away, False
        now = asyncio.get_running_loop().time()
        mended = 0
        for board_id, found in held.items():
            doubt = self._doubts.get(board_id)
            if doubt is None:
                continue
            if found is not None and found.done_seq >= doubt.seq:
                self._settle(board_id, found.done_seq)
            elif found is None or now - doubt.noted >= _GRACE_SECONDS:
                mended += await self._mend(board_id)
        return was_away or mended > 0

    async def _mend(self, board_id: str) -> bool:
        """Mend a board once, however many ask for it; False when that failed."""
        try:
            await self._flights.run(board_id, lambda: self._make_whole(board_id))
        except MusterError as error:
            # It stays in doubt; if it is the index that is away, the next look at it will tell.
            _log.info("board_not_mended", board_id=board_id, detail=error.detail)
            return False
        return True

    async def _make_whole(self, board_id: str) -> None:
        doubt = self._doubts.get(board_id)
        if doubt is None:
            return
        heads = await self._source.heads([board_id])
        if heads.get(board_id, 0) < doubt.seq:
            # It was deleted, and maybe made anew: whoever asks for the new one doubts it again.
            self._doubts.pop(board_id, None)
            return
        (held,) = await self._index.held([board_id])
        if held is None:
            if not await self._index.load(board_id, self.parts(doubt.organization_id, board_id, 0)):
                raise MusterError(Reason.UNAVAILABLE, detail="another process is loading it")
            # It may have been deleted while it was read: whoever did that has removed the board already.
            await self.remove(board_id)
            (held,) = await self._index.held([board_id])
            if held is None:
                raise MusterError(Reason.INTERNAL, detail="lost as soon as it was loaded")
            _log.info("board_loaded", board_id=board_id, seq=held.done_seq)
        self._settle(board_id, await self._catch_up(doubt.organization_id, board_id, held.done_seq))

    async def _catch_up(self, organization_id: str, board_id: str, done_seq: int) -> int:
        """Apply what changed after `done_seq`; return the change up to which the board is complete now."""
        seq = -1
        async for head_seq, lines in self.parts(organization_id, board_id, done_seq):
            seq = head_seq if seq < 0 else seq
            if lines:
                # Only with all parts is it complete.
                await self._index.apply([BoardChanges(board_id, done_seq, done_seq, tuple(lines))])
        (applied,) = await self._index.apply([BoardChanges(board_id, done_seq, seq, ())])
        return applied.done_seq if applied is not None else done_seq

    def _settle(self, board_id: str, done_seq: int) -> None:
        doubt = self._doubts.get(board_id)
        if doubt is None:
            return
        if doubt.newest_seq <= done_seq:
            del self._doubts[board_id]
        elif doubt.seq <= done_seq:
            doubt.renew()
