"""The streams of one process: every room that is watched here, and what keeps them up to date."""

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from typing import Final, Self

import structlog
from redis.asyncio import Redis

from muster_kit.clock import Clock, SystemClock
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Background
from muster_kit.streams.feed import Feed
from muster_kit.streams.listener import Listener
from muster_kit.streams.log import Log, NoLog
from muster_kit.streams.opening import Opening
from muster_kit.streams.process import Process, RunHook, SignalHook
from muster_kit.streams.publisher import channel_of, decode
from muster_kit.streams.room import Room
from muster_kit.streams.snapshots import TakeSnapshot
from muster_kit.streams.stamps import Stamp
from muster_kit.streams.tail import Tail
from muster_kit.streams.tuning import Tuning
from muster_kit.streams.views import View
from muster_kit.streams.watch import Renewal, Watch
from muster_kit.streams.wheel import Alarm, Wheel

_CHECK_PAUSE_SECONDS: Final = 0.05
_OPENED_AT_ONCE: Final = 64

_log = structlog.get_logger(__name__)


class Hub:
    """One service's streams in one process. Use it as an async context manager.

    Redis tells at once what is new; a check of all watched rooms' heads, by one query every few
    seconds, finds what Redis did not tell. While Redis is away only that check is left, more often.
    """

    def __init__(
        self,
        redis: Redis,
        log: Log | None = None,
        *,
        schema: str,
        clock: Clock | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        """`schema` is the one the Publisher has; without a `log` only `open_views` works."""
        self._log = log or NoLog()
        self._tuning = tuning or Tuning()
        self._background = Background()
        self._check_wanted = asyncio.Event()
        self._check_works = True
        self._process = Process(
            clock=clock or SystemClock(),
            tuning=self._tuning,
            wheel=Wheel(),
            background=self._background,
            on_doubt=self._check_wanted.set,
        )
        self._schema = schema
        self._listener = Listener(redis, on_message=self._receive, on_change=self._on_redis_change)
        self._rooms: dict[str, Room] = {}
        self._rooms_by_channel: dict[str, Room] = {}
        self._lingering: dict[str, Alarm] = {}
        self._late: dict[str, str] = {}
        self._no_tail = Tail("", NoLog(), self._process, on_run=lambda _: None, on_change=lambda: None)
        self._draining = False
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._background.spawn(self._listener.run(), name="listener")
        self._background.spawn(self._keep_checking(), name="head_check")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; the streams should have ended before (see `drain`)."""
        await self._background.close()
        for room in self._rooms.values():
            await room.close()
        self._process.wheel.close()

    def on_run(self, hook: RunHook) -> None:
        """Have `hook` told the events of every watched room."""
        self._process.run_hooks.append(hook)

    def on_signal(self, hook: SignalHook) -> None:
        """Have `hook` told the signals of every watched room."""
        self._process.signal_hooks.append(hook)

    def room(self, room_id: str) -> Room | None:
        """Return the room if anybody watches it here; else there is nobody to offer anything to."""
        return self._rooms.get(room_id)

    def offer(self, room_id: str, key: Hashable, view: View) -> None:
        """Give the newest version of a view to whoever watches the room here."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.offer(key, view)

    def open(
        self,
        organization_id: str,
        room_id: str,
        after: bytes,
        *,
        snapshot: TakeSnapshot,
        snapshot_key: Hashable,
        viewer: object = None,
        max_frames: int = 0,
        replay_only: bool = False,
        renewal: Renewal | None = None,
        stamp: Stamp | None = None,
        may_wait: bool = False,
    ) -> Opening:
        """Watch a room from the cursor `after`, or from a snapshot when that is empty.

        Everybody with the same `snapshot_key` may get the same snapshot, so it must tell apart who
        may see what: a role, never nothing. The stream ends with OK after `max_frames` frames (0: no
        limit), or with `replay_only` when it is up to date. `stamp` marks what is sent live. With
        `may_wait`, for rooms that are there for certain, a stream that finds the log away brings views
        until it is back. Entering raises MusterError: NOT_FOUND when the organization has no such room,
        DRAINING when this worker goes away, UNAVAILABLE.
        """
        watch = Watch(
            after=after,
            snapshot=snapshot,
            snapshot_key=snapshot_key,
            viewer=viewer,
            max_frames=max_frames,
            replay_only=replay_only,
            renewal=renewal,
            stamp=stamp,
            may_wait=may_wait,
        )
        return Opening(self, self._process, room_id, watch, organization_id=organization_id)

    def open_views(
        self,
        room_id: str,
        *,
        viewer: object = None,
        max_frames: int = 0,
        replay_only: bool = False,
        renewal: Renewal | None = None,
    ) -> Opening:
        """Watch only the views and lossy messages of a room, which needs no log. The caller checks who may.

        With `replay_only` the stream gives the views that are there, and ends.
        """
        watch = Watch(
            after=b"",
            snapshot=_no_snapshot,
            snapshot_key=None,
            viewer=viewer,
            max_frames=max_frames,
            replay_only=replay_only,
            renewal=renewal,
        )
        return Opening(self, self._process, room_id, watch, tail=self._no_tail)

    async def enter_room(self, room_id: str) -> Room:
        """Return a room that is kept up to date until `leave_room`; MusterError DRAINING."""
        if self._draining:
            raise MusterError(Reason.DRAINING)
        room = self._rooms.get(room_id) or self._add(room_id)
        room.watchers += 1
        if (alarm := self._lingering.pop(room_id, None)) is not None:
            alarm.cancel()
        try:
            # Before anything is read: what is published while it is read must not be missed.
            await self._listener.subscribe(channel_of(self._schema, room_id))
        except BaseException:
            self.leave_room(room, None)
            raise
        return room

    def open_late(self, room: Room, organization_id: str) -> None:
        """Open a room's log when it is back; its streams begin then."""
        self._late[room.room_id] = organization_id
        self._check_wanted.set()

    def leave_room(self, room: Room, stream: Feed | None) -> None:
        """Let a stream go, or who did not get as far as to have one."""
        if stream is not None:
            room.leave(stream)
            self._left.set()
        room.watchers -= 1
        if not room.watchers:
            self._let_go(room)

    async def drain(self, *, grace_seconds: float = 10.0) -> None:
        """Tell every client to reconnect, at a time spread at random, and wait until the streams have ended.

        Nothing can be opened any more. Returns after `grace_seconds` even if some clients hang.
        """
        self._draining = True
        for room in self._rooms.values():
            for stream in room.streams:
                stream.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while any(room.streams for room in self._rooms.values()):
                    self._left.clear()
                    await self._left.wait()

    def _add(self, room_id: str) -> Room:
        room = self._rooms[room_id] = Room(room_id, self._log, self._process)
        self._rooms_by_channel[channel_of(self._schema, room_id)] = room
        return room

    def _let_go(self, room: Room) -> None:
        if room.warm:
            linger = self._process.wheel.after(self._tuning.linger_seconds, lambda: self._drop(room))
            self._lingering[room.room_id] = linger
        else:
            # It could not be opened: whoever guesses at ids leaves nothing behind.
            self._drop(room)

    def _drop(self, room: Room) -> None:
        channel = channel_of(self._schema, room.room_id)
        self._listener.unsubscribe(channel)
        self._lingering.pop(room.room_id, None)
        del self._rooms[room.room_id], self._rooms_by_channel[channel]
        self._background.spawn(room.close(), name="close_room")

    def _receive(self, channel: str, data: bytes) -> None:
        room = self._rooms_by_channel.get(channel)
        if room is not None:
            room.receive(decode(data))

    def _on_redis_change(self) -> None:
        self._check_wanted.set()
        self._suspect_signals()

    def _suspect_signals(self) -> None:
        for room in list(self._rooms.values()):
            room.receive_signal(b"")

    async def _keep_checking(self) -> None:
        while True:
            away = self._late or not self._listener.connected
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    self._tuning.check_away_seconds if away else self._tuning.check_seconds
                ):
                    await self._check_wanted.wait()
            self._check_wanted.clear()
            await self._check_heads()
            await self._open_late()
            if not self._listener.connected:
                self._suspect_signals()
            await asyncio.sleep(_CHECK_PAUSE_SECONDS)

    async def _open_late(self) -> None:
        waiting = list(self._late.items())
        for start in range(0, len(waiting), _OPENED_AT_ONCE):
            some = waiting[start : start + _OPENED_AT_ONCE]
            if not all(await asyncio.gather(*(self._has_opened(*each) for each in some))):
                return
            for room_id, _ in some:
                self._late.pop(room_id, None)

    async def _has_opened(self, room_id: str, organization_id: str) -> bool:
        """Open a room's log if somebody waits for it; False when the log is still away."""
        room = self._rooms.get(room_id)
        try:
            if room is not None and room.streams:
                await room.tail.open(organization_id)
        except Exception as error:  # noqa: BLE001 - no fault may end what everything relies on
            return not (isinstance(error, MusterError) and error.reason is Reason.UNAVAILABLE)
        return True

    async def _check_heads(self) -> None:
        watched = [room_id for room_id, room in self._rooms.items() if room.tail.opened]
        if not watched:
            return
        try:
            for room_id, head in (await self._log.heads(watched)).items():
                if (room := self._rooms.get(room_id)) is not None:
                    room.tail.check(head)
        except Exception as error:  # noqa: BLE001 - no fault may end what everything relies on
            # Streams go on with what Redis tells; the next check comes soon.
            if self._check_works:
                _log.warning("heads_not_checked", error=repr(error))
            self._check_works = False
        else:
            self._check_works = True


async def _no_snapshot() -> tuple[int, bytes]:
    raise AssertionError("a room without a log has no snapshot")
