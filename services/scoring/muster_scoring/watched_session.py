"""What is kept of a session that somebody watches in this process."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from muster_kit.errors import MusterError, Reason
from muster_kit.streams.feed import Feed
from muster_kit.streams.room import Room
from muster_kit.streams.views import View

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.board_mirror import BoardMirror
from muster_scoring.rounds_monitor import RoundsMonitor

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
Compute: TypeAlias = Callable[[], Awaitable[View | None]]


class WatchedSession:
    """Its board, its rounds and who watches them; `seq` is the last change that was heard of.

    It may be any other board as well, which has no rounds.
    """

    def __init__(self, keeper: BoardKeeper, organization_id: str) -> None:
        """`keeper` is the one that keeps the board."""
        self.keeper = keeper
        self.organization_id = organization_id
        self.seq = 0
        self.mirror: BoardMirror | None = None
        self.monitor: RoundsMonitor | None = None
        self._is_gone = False
        self._feeds: dict[Feed, str] = {}
        self._epoch = b""
        self._watchers: Counter[str] = Counter()
        self._outdated: set[str] = set()
        self._beginning = asyncio.Lock()

    @property
    def known_seq(self) -> int:
        """The last change that is known here: a session whose head is behind it is not that one any more."""
        board_seq = self.mirror.done_seq if self.mirror is not None else 0
        return max(self.seq, board_seq, self.monitor.version if self.monitor is not None else 0)

    def is_behind(self, seq: int) -> bool:
        """Whether the board lacks changes up to `seq`."""
        return self.mirror is not None and self.mirror.done_seq < seq

    def touch(self, room: Room, key: str) -> None:
        """Say that a view may have changed: it is computed anew as soon as somebody watches it."""
        if self._watchers[key]:
            room.touch(key)
        else:
            self._outdated.add(key)

    @contextmanager
    def watcher(self, key: str) -> Iterator[None]:
        """Have a view computed whenever it is touched."""
        self._watchers[key] += 1
        try:
            yield
        finally:
            self._watchers[key] -= 1

    async def begin(self, room: Room, key: str, compute: Compute, *, rate_per_second: int) -> None:
        """See that there is a view of now, and that it is computed anew from then on, by one task."""
        async with self._beginning:
            is_first = key not in room.views.offered
            if not is_first and key not in self._outdated:
                return
            self._outdated.discard(key)
            try:
                view = await compute()
            except MusterError:
                if is_first:
                    raise
                # What is there is shown until the store is back.
                room.touch(key)
                return
            self._require_there()
            if view is not None:
                room.offer(key, view)
            room.compute(key, compute, rate_per_second=rate_per_second)

    async def serve(self, feed: Feed, key: str, write: Write) -> None:
        """Serve a stream of a view to its end; NOT_FOUND when that is the session's."""
        self._feeds[feed] = key
        try:
            await feed.serve(write)
        finally:
            del self._feeds[feed]
        self._require_there()

    def learn(self, epoch: bytes, key: str) -> None:
        """Take the board's epoch in the index, b"" when it is not known.

        When it is another one than before, the index had lost the board: streams of the view begin anew.
        """
        if epoch and self._epoch not in (b"", epoch):
            for feed in [feed for feed, shown in self._feeds.items() if shown == key]:
                feed.reset()
        self._epoch = epoch or self._epoch

    def end(self) -> None:
        """End all streams: the session is gone."""
        self._is_gone = True
        for feed in self._feeds:
            feed.end()

    def _require_there(self) -> None:
        if self._is_gone:
            raise MusterError(Reason.NOT_FOUND, detail="the session was deleted")
