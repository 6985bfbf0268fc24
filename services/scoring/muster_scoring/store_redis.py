"""Boards in Redis: a sorted set of places and a hash of lines, changed by scripts alone."""

import secrets
import struct
from collections.abc import AsyncIterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from muster_kit.errors import MusterError, Reason
from muster_kit.redis_scripts import Argument, Command, Script, answer, has_failed, run_all
from muster_kit.streams.publisher import channel_of, encode_signal
from redis.asyncio import Redis

from muster_scoring.model_board import REMOVED, BoardChanges, Line, Position
from muster_scoring.store_boards import Applied, Held, Page, RankChange

_SCRIPTS: Final = Path(__file__).parent / "scripts"

_KEEP_MILLISECONDS: Final = timedelta(days=2) // timedelta(milliseconds=1)
"""A board that nobody has changed for so long is loaded again when somebody asks for it."""

_KEEP_CLAIM: Final = timedelta(seconds=5)
"""Whoever loads a board and does not go on for so long has crashed: somebody else may begin."""

_KEEP_PARTS: Final = timedelta(minutes=1)
"""What a crash leaves goes by itself."""

_CHANGES_BEGIN: Final = len(encode_signal(b"")) + 1
"""Where the changes begin in a message, as Lua counts."""

_STORED: Final = struct.Struct(">QB")
_RANKS: Final = struct.Struct(">II")

_KEYS: Final = ("places", "lines", "early")


class RedisBoards:
    """The BoardIndex. What it says to watchers goes through the channel of the board's room.

    The keys of one board share a hash tag, so that they live on one node of a cluster. A script that
    fails is logged, and its board counts as one that is not held.
    """

    def __init__(self, redis: Redis, *, schema: str) -> None:
        """`schema` is the one the Hub has."""
        self._redis = redis
        self._schema = schema
        self._apply = Script(_SCRIPTS, "board", "apply")
        self._held = Script(_SCRIPTS, "board", "held")
        self._load = Script(_SCRIPTS, "board", "load")
        self._page = Script(_SCRIPTS, "board", "page")
        self._around = Script(_SCRIPTS, "board", "around")
        self._remove = Script(_SCRIPTS, "board", "remove")

    async def ping(self) -> None:
        """Return when Redis answers."""
        await answer(self._redis.ping())

    async def apply(
        self, changes: Sequence[BoardChanges], *, ranked: bool = True
    ) -> Sequence[Applied | None]:
        """Put changes of several boards in, and tell whoever watches them, in one round trip."""
        replies = await self._run_all([self._apply_command(each, ranked=ranked) for each in changes])
        return [_applied(reply) for reply in replies]

    async def held(self, board_ids: Sequence[str]) -> Sequence[Held | None]:
        """Return what is held of each board, in one round trip."""
        replies = await self._run_all(
            [Command(self._held, self._keys(board_id), ()) for board_id in board_ids]
        )
        return [None if reply is None else Held(epoch=reply[1], done_seq=reply[0]) for reply in replies]

    async def load(self, board_id: str, parts: AsyncIterable[tuple[int, Sequence[Line]]]) -> bool:
        """Make a board of parts, under a new epoch; each part is a short call."""
        token = secrets.token_hex(8)
        names = ("loading", f"places:{token}", f"lines:{token}")
        loading, places, lines = (self._key(board_id, name) for name in names)
        if not await answer(self._redis.set(loading, token, nx=True, px=_KEEP_CLAIM)):
            return False
        seq, place_count, line_count = -1, 0, 0
        async for head_seq, part in parts:
            # Lines of later parts may be newer, but what changed after the first was read may be missing.
            seq = head_seq if seq < 0 else seq
            place_count += await self._put_part(loading, places, lines, part)
            line_count += len(part)
        keys = [*self._keys(board_id), loading, places, lines]
        told = self._told(board_id, b"")
        counts = place_count, line_count
        if not await self._run(self._load, keys, *told, max(seq, 0), _KEEP_MILLISECONDS, token, *counts):
            raise MusterError(Reason.INTERNAL, detail=f"parts of board {board_id} were lost")
        return True

    async def page(self, board_id: str, *, after: Position | None, limit: int) -> Page | None:
        """Return lines after a position, from the best."""
        place = b"" if after is None else after.encode()
        return _page(await self._run(self._page, self._keys(board_id), place, limit))

    async def around(self, board_id: str, entry_id: str, *, radius: int) -> Page | None:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        return _page(await self._run(self._around, self._keys(board_id), entry_id, radius))

    async def remove(self, board_id: str) -> None:
        """Remove a board, held or not, and tell whoever watches it."""
        await self._run(self._remove, self._keys(board_id), *self._told(board_id, REMOVED))

    def _apply_command(self, changes: BoardChanges, *, ranked: bool) -> Command:
        # The message goes out as it is, and the script reads it as well: it is sent once.
        told = self._told(changes.board_id, changes.encode())
        arguments = (*told, _CHANGES_BEGIN, _KEEP_MILLISECONDS, int(ranked))
        return Command(self._apply, self._keys(changes.board_id), arguments)

    def _told(self, board_id: str, message: bytes) -> tuple[Argument, Argument]:
        """Return the channel of a board's watchers, and what is said there."""
        return channel_of(self._schema, board_id), encode_signal(message)

    def _keys(self, board_id: str) -> list[str]:
        return [self._key(board_id, name) for name in _KEYS]

    def _key(self, board_id: str, name: str) -> str:
        return f"muster:{self._schema}:board:{{{board_id}}}:{name}"

    async def _put_part(self, loading: str, places: str, lines: str, part: Sequence[Line]) -> int:
        """Store lines where nobody looks yet, and keep the claim; return how many have a place."""
        ranked = {line.place: 0 for line in part if line.place}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.pexpire(loading, _KEEP_CLAIM)
        if part:
            pipeline.hset(lines, mapping={line.entry_id: _stored(line) for line in part})
            pipeline.pexpire(lines, _KEEP_PARTS)
        if ranked:
            pipeline.zadd(places, ranked)
            pipeline.pexpire(places, _KEEP_PARTS)
        await answer(pipeline.execute())
        return len(ranked)

    async def _run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        (reply,) = await self._run_all([Command(script, keys, arguments)])
        return reply

    async def _run_all(self, commands: Sequence[Command]) -> Sequence[Any]:
        replies = await run_all(self._redis, commands)
        return [
            None if has_failed(command, reply) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]


def _applied(reply: list[Any] | None) -> Applied | None:
    if reply is None:
        return None
    done_seq, ranks = reply
    return Applied(done_seq, [RankChange(*pair) for pair in _RANKS.iter_unpack(ranks)])


def _page(reply: list[Any] | None) -> Page | None:
    if reply is None:
        return None
    done_seq, first_rank, entry_count, *flat = reply
    lines = [_line(entry_id, stored) for entry_id, stored in zip(flat[::2], flat[1::2], strict=True)]
    return Page(done_seq, first_rank, entry_count, lines)


def _line(entry_id: bytes, stored: bytes) -> Line:
    version, order_size = _STORED.unpack_from(stored)
    packed_at = _STORED.size + order_size
    return Line(entry_id.decode(), version, stored[_STORED.size : packed_at] + entry_id, stored[packed_at:])


def _stored(line: Line) -> bytes:
    order = line.order
    return _STORED.pack(line.version, len(order)) + order + line.packed
