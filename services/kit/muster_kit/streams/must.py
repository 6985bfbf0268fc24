"""The must lane: one stream's place in the log, to which no event is lost."""

from collections.abc import Hashable

from muster.stream.v1.stream_pb2 import ResetCause

from muster_kit.streams import frames
from muster_kit.streams.cursor import Cursor
from muster_kit.streams.run import Run
from muster_kit.streams.snapshots import Snapshot, TakeSnapshot
from muster_kit.streams.tail import Tail


class MustLane:
    """Where one stream stands, and what comes next.

    There is no queue: all streams of a room read the same ring, each from its own place. A stream
    that the ring has outrun reads on from the log, which is all that being slow costs.
    """

    __slots__ = ("_epoch", "_found", "_snapshot", "_snapshot_key", "_tail", "live", "place", "reread", "seq")

    def __init__(self, tail: Tail, snapshot: TakeSnapshot, snapshot_key: Hashable) -> None:
        self.seq = 0
        self.place = b""
        """The cursor part of the next frame that holds no event itself."""
        self.live = False
        """Whether the stream has been up to date once: what it misses from now on, it was too slow for."""
        self.reread = 0
        self._tail = tail
        self._epoch = tail.epoch
        self._snapshot = snapshot
        self._snapshot_key = snapshot_key
        self._found: Run | None = None

    @property
    def behind(self) -> bool:
        """True while there are events that the stream has not been sent."""
        return self.seq < self._tail.head

    @property
    def complete(self) -> bool:
        """True when the stream has been sent every event that is known to exist."""
        return self.seq >= self._tail.known

    @property
    def replaced(self) -> bool:
        """True when the log is another than the one the stream was reading."""
        return self._epoch != self._tail.epoch

    async def resume(self, after: bytes) -> ResetCause | None:
        """Go to the place of a cursor; return why not, when there is no going on from there."""
        cursor = Cursor.decode(after)
        if cursor is None:
            return ResetCause.RESET_CAUSE_CURSOR_FOREIGN
        if cursor.epoch != self._tail.epoch or cursor.seq > self._tail.head:
            # Another worker may be ahead of this one, which is no fault of the client.
            await self._tail.refresh()
        if cursor.epoch != self._tail.epoch or cursor.seq > self._tail.known:
            return ResetCause.RESET_CAUSE_CURSOR_FOREIGN
        if cursor.seq + 1 < self._tail.first_seq:
            return ResetCause.RESET_CAUSE_CURSOR_STALE
        self._go_to(cursor)
        return None

    async def restart(self, *, newest: bool) -> Snapshot:
        """Return a snapshot, after which the stream goes on; `newest`: not one that is a moment old."""
        snapshot = await self._tail.snapshot(self._snapshot_key, self._snapshot, newest=newest)
        self._go_to(Cursor(snapshot.epoch, snapshot.seq))
        return snapshot

    def take(self) -> Run | None:
        """Return the run that comes next when it is at hand, and move behind it."""
        run = self._tail.ring.get(self.seq + 1) or self._found
        if run is None:
            return None
        if run is self._found and self.live:
            self.reread += run.last_seq - self.seq
        self._found = None
        if run.first_seq <= self.seq:
            run = run.after(self.seq)
        self.seq = run.last_seq
        self.place = run.place
        return run

    async def find(self) -> bool:
        """Get what comes next from the log; False when it is no longer kept."""
        self._found = await self._tail.find(self.seq + 1)
        if self._found is None:
            await self._tail.refresh()
        return self._found is not None or self.replaced

    def _go_to(self, cursor: Cursor) -> None:
        self._epoch = cursor.epoch
        self.seq = cursor.seq
        self.place = frames.place(cursor)
        self._found = None
