"""Boards in Redis: a sorted set of places and a hash of lines, changed by scripts alone."""

import hashlib
import struct
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from muster_kit.errors import MusterError, Reason
from muster_kit.streams.publisher import channel_of, encode_signal
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from muster_scoring.model_board import REMOVED, BoardChanges, Line, Position, encode_lines
from muster_scoring.store_boards import Applied, Page, RankChange

_SCRIPTS: Final = Path(__file__).parent / "scripts"

_KEEP_MILLISECONDS: Final = timedelta(days=2) // timedelta(milliseconds=1)
"""A board that nobody has changed for so long is loaded again when somebody asks for it."""

_RETRY_AFTER: Final = timedelta(seconds=1)

_CHANGES_BEGIN: Final = len(encode_signal(b"")) + 1
"""Where the changes begin in a message, as Lua counts."""

_STORED: Final = struct.Struct(">QB")

_KEYS: Final = ("places", "lines", "early")
_KEY_COUNT: Final = len(_KEYS)

_Argument: TypeAlias = bytes | str | int


class RedisBoards:
    """The BoardIndex. What it says to watchers goes through the channel of the board's room.

    The keys of one board share a hash tag, so that they live on one node of a cluster.
    """

    def __init__(self, redis: Redis, *, schema: str) -> None:
        """`schema` is the one the Hub has."""
        self._redis = redis
        self._schema = schema
        self._apply = _Script("apply")
        self._load = _Script("load")
        self._page = _Script("page")
        self._around = _Script("around")
        self._remove = _Script("remove")

    async def apply(self, changes: Sequence[BoardChanges]) -> Sequence[Applied | None]:
        """Put changes of several boards in, and tell whoever watches them, in one round trip."""
        commands = [self._apply_command(each) for each in changes]
        if len(commands) == 1:
            return [_applied(await self._run(self._apply, commands[0]))]
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.evalsha(self._apply.digest, _KEY_COUNT, *command)
        replies = await _reachable(pipeline.execute(raise_on_error=False))
        return [
            _applied(await self._run(self._apply, command) if isinstance(reply, RedisError) else reply)
            for command, reply in zip(commands, replies, strict=True)
        ]

    async def load(self, board_id: str, seq: int, lines: Sequence[Line]) -> None:
        """Replace a board by what was true at its change `seq`; newer lines that it holds stay."""
        command = [*self._head(board_id, b""), seq, _KEEP_MILLISECONDS, encode_lines(lines)]
        await self._run(self._load, command)

    async def page(self, board_id: str, *, after: Position | None, limit: int) -> Page | None:
        """Return lines after a position, from the best."""
        place = b"" if after is None else after.encode()
        return _page(await self._run(self._page, [*_keys(board_id), place, limit]))

    async def around(self, board_id: str, entry_id: str, *, radius: int) -> Page | None:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        return _page(await self._run(self._around, [*_keys(board_id), entry_id, radius]))

    async def remove(self, board_id: str) -> None:
        """Remove a board, held or not, and tell whoever watches it."""
        await self._run(self._remove, self._head(board_id, REMOVED))

    def _apply_command(self, changes: BoardChanges) -> list[_Argument]:
        # The message goes out as it is, and the script reads it as well: it is sent once.
        head = self._head(changes.board_id, changes.encode())
        return [*head, _CHANGES_BEGIN, _KEEP_MILLISECONDS]

    def _head(self, board_id: str, message: bytes) -> list[_Argument]:
        return [*_keys(board_id), channel_of(self._schema, board_id), encode_signal(message)]

    async def _run(self, script: "_Script", command: Sequence[_Argument]) -> Any:
        try:
            return await _reachable(self._redis.evalsha(script.digest, _KEY_COUNT, *command))
        except NoScriptError:
            return await _reachable(self._redis.eval(script.source, _KEY_COUNT, *command))


class _Script:
    """A script, known to Redis by its digest once it has run there."""

    def __init__(self, name: str) -> None:
        parts = (_SCRIPTS / f"{part}.lua" for part in ("board", name))
        self.source = "".join(part.read_text(encoding="utf-8") for part in parts)
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


def _keys(board_id: str) -> list[_Argument]:
    return [f"muster:{{{board_id}}}:{name}" for name in _KEYS]


def _applied(reply: list[int] | None) -> Applied | None:
    if reply is None:
        return None
    return Applied(reply[0], [RankChange(*pair) for pair in zip(reply[1::2], reply[2::2], strict=True)])


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


async def _reachable(reply: Awaitable[Any]) -> Any:
    """Return the reply; a Redis that is away or wants its data loaded first is UNAVAILABLE."""
    try:
        return await reply
    except NoScriptError:
        raise
    except (RedisError, OSError) as error:
        raise MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=repr(error)) from error
