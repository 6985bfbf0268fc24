"""One watch stream: it begins or resumes, goes on live, and ends well."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

import structlog
from muster.stream.v1.stream_pb2 import Lag, ReconnectCause, ResetCause

from muster_kit.errors import MusterError, Reason
from muster_kit.streams import frames
from muster_kit.streams.heartbeat import Heartbeat
from muster_kit.streams.lossy import LossyLane
from muster_kit.streams.must import MustLane
from muster_kit.streams.outlet import ClientTooSlow, Outlet, StreamEnd, Write
from muster_kit.streams.process import Process
from muster_kit.streams.room import Room
from muster_kit.streams.stamps import Stamper
from muster_kit.streams.tail import Tail
from muster_kit.streams.views import ViewLane
from muster_kit.streams.watch import Watch
from muster_kit.streams.wheel import Alarm

# So many log events in a row before the other lanes have a turn.
_BURST: Final = 16
_RENEWAL_RETRY_SECONDS: Final = 5.0

_Errand: TypeAlias = Callable[[Outlet], Awaitable[None]]

_log = structlog.get_logger(__name__)


class Feed:
    """A stream of one room. The task that calls `serve` does all the work; nothing else runs for it.

    All three lanes are places in what the room holds, so a stream owns no queue, and a slow one
    costs no more memory than a fast one.
    """

    # Thousands of them wait at once: what one holds while nothing happens is counted in bytes.
    __slots__ = (
        "_begun", "_busy_since", "_errands", "_lag_told", "_loop", "_lossy", "_must", "_process",
        "_renewal_alarm", "_room", "_stamper", "_streak", "_tail", "_views", "_waiter", "_was_stale",
        "_watch",
    )  # fmt: skip

    def __init__(self, room: Room, tail: Tail, process: Process, watch: Watch) -> None:
        """While `tail` is not opened it is a stream of views alone."""
        self._room = room
        self._tail = tail
        self._process = process
        self._watch = watch
        self._must = MustLane(tail, watch.snapshot, watch.snapshot_key)
        self._views = ViewLane(room.views, watch.viewer)
        self._lossy = LossyLane(room.lossy)
        self._stamper = Stamper(watch.stamp, process)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._errands: dict[str, _Errand] = {}
        self._renewal_alarm: Alarm | None = None
        self._streak = 0
        self._begun = False
        self._was_stale = False
        self._busy_since = self._lag_told = self._loop.time()

    @property
    def room(self) -> Room:
        """The room that is watched, to offer views to."""
        return self._room

    async def serve(self, write: Write) -> None:
        """Send the stream until it ends well; raises what `write`, the snapshot or the log raises.

        A client that takes a frame too slowly is told to come back; one that takes none at all is for
        `write` to end.
        """
        tuning = self._process.tuning
        outlet = Outlet(
            write,
            time=self._loop.time,
            opened_time=frames.time(self._process.clock.now()),
            timeout_seconds=tuning.write_timeout_seconds,
            max_frames=self._watch.max_frames,
        )
        heartbeat = Heartbeat(
            outlet,
            self._process.wheel,
            tuning.heartbeat_seconds,
            on_quiet=self._ask_for_beat,
        )
        self._set_renewal_alarm()
        try:
            await self._deliver(outlet)
        except StreamEnd:
            return
        finally:
            heartbeat.stop()
            if self._renewal_alarm is not None:
                self._renewal_alarm.cancel()
            # Errands hold the stream that holds them.
            self._errands.clear()

    def wake(self) -> None:
        """Look for something to send, if the stream is waiting."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            self._busy_since = self._loop.time()
            waiter.set_result(None)

    def send_ticket(self, payload: bytes) -> None:
        """Send a renewed ticket, the newest one if the stream is slow."""
        self._ask(
            "ticket", lambda outlet: self._write(outlet, frames.ticket(self._process.clock.now(), payload))
        )

    def end(self) -> None:
        """End the stream with OK."""

        async def stop(_: Outlet) -> None:
            raise StreamEnd

        self._ask("end", stop)

    def reconnect(self, cause: ReconnectCause, *, delay_seconds: float = 0) -> None:
        """Tell the client to come back with its cursor after a while, and end the stream with OK."""
        self._ask("end", lambda outlet: self._say_reconnect(outlet, cause, delay_seconds))

    def reset(self) -> None:
        """Tell the client to drop what it holds, and give it everything anew."""
        self._ask("reset", lambda outlet: self._reset(outlet, ResetCause.RESET_CAUSE_STORE_REBUILT))

    def drain(self) -> None:
        """Tell the client to come back somewhere else, at a time spread at random."""
        delay = random.uniform(0, self._process.tuning.drain_spread_seconds)  # noqa: S311 - spreads load
        self.reconnect(ReconnectCause.RECONNECT_CAUSE_DRAINING, delay_seconds=delay)

    async def _deliver(self, outlet: Outlet) -> None:
        must = self._must
        try:
            while True:
                if self._tail.opened and not self._begun:
                    await self._begin(outlet)
                if self._errands:
                    await self._run_errand(outlet)
                elif must.replaced:
                    await self._reset(outlet, ResetCause.RESET_CAUSE_STORE_REBUILT)
                elif (frame := self._take(outlet)) is not None:
                    await outlet.write(frame[0], must.place, frame[1])
                elif must.behind:
                    await self._catch_up(outlet)
                elif self._watch.replay_only and must.complete:
                    return
                else:
                    await self._quiet(outlet)
        except ClientTooSlow:
            await self._say_reconnect(outlet, ReconnectCause.RECONNECT_CAUSE_TOO_SLOW, 0)

    async def _begin(self, outlet: Outlet) -> None:
        self._begun, self._must.live = True, False
        if self._watch.replay_only:
            # It ends at the head, so that has to be the log's, not what this worker has heard of it.
            await self._tail.refresh()
        if not self._watch.after:
            await self._send_snapshot(outlet)
        elif (cause := await self._must.resume(self._watch.after)) is not None:
            await self._reset(outlet, cause)

    async def _reset(self, outlet: Outlet, cause: ResetCause) -> None:
        self._views.restart()
        # Without a cursor: a client that loses the stream here holds nothing it could go on from.
        await outlet.write(frames.reset(self._process.clock.now(), cause), b"", self._loop.time())
        if self._tail.opened:
            await self._send_snapshot(outlet)

    async def _send_snapshot(self, outlet: Outlet) -> None:
        # Whoever takes only so many frames may not get as far as the events that follow.
        snapshot = await self._must.restart(newest=self._watch.max_frames > 0)
        await outlet.write(snapshot.body, snapshot.place, snapshot.made)

    async def _catch_up(self, outlet: Outlet) -> None:
        if await self._must.find():
            return
        if self._must.live:
            await self._say_reconnect(outlet, ReconnectCause.RECONNECT_CAUSE_TOO_SLOW, 0)
        if self._was_stale:
            raise MusterError(Reason.INTERNAL, detail="the snapshot is older than what the log keeps")
        self._was_stale = True
        await self._reset(outlet, ResetCause.RESET_CAUSE_CURSOR_STALE)

    def _take(self, outlet: Outlet) -> tuple[bytes, float] | None:
        """Return the next (body, time made) of whatever lane has its turn."""
        others_first = self._streak >= _BURST
        if not others_first and (run := self._take_run()) is not None:
            return run
        self._streak = 0
        other = self._views.take() or self._lossy.take() or self._take_lag(outlet)
        return self._take_run() if other is None and others_first else other

    def _take_run(self) -> tuple[bytes, float] | None:
        run = self._must.take()
        if run is None:
            return None
        self._streak += 1
        return run.body + self._stamper.mark(run), run.made

    def _take_lag(self, outlet: Outlet) -> tuple[bytes, float] | None:
        must, views, lossy = self._must, self._views, self._lossy
        if not self._has_skipped():
            return None
        now = self._loop.time()
        told_before = now - self._lag_told < self._process.tuning.lag_seconds
        # What is skipped within a moment is how the lanes work, and not worth telling.
        slow = must.reread or now - self._busy_since >= self._process.tuning.lag_seconds
        if told_before or not slow:
            return None
        lag = Lag(events_reread=must.reread, views_skipped=views.skipped, lossy_dropped=lossy.dropped)
        lag.behind.FromMicroseconds(int(outlet.longest_wait * 1_000_000))
        must.reread = views.skipped = lossy.dropped = 0
        outlet.longest_wait = 0.0
        self._lag_told = now
        return frames.lag(self._process.clock.now(), lag), now

    def _has_skipped(self) -> bool:
        return bool(self._must.reread or self._views.skipped or self._lossy.dropped)

    def _quiet(self, outlet: Outlet) -> asyncio.Future[None]:
        """Return what to wait for when there is nothing to send."""
        self._must.live = True
        if not self._has_skipped():
            outlet.longest_wait = 0.0
        waiter = self._waiter = self._loop.create_future()
        return waiter

    async def _write(self, outlet: Outlet, body: bytes) -> None:
        await outlet.write(body, self._must.place, self._loop.time())

    def _ask_for_beat(self) -> None:
        self._ask("beat", self._beat)

    def _ask_for_renewal(self) -> None:
        self._ask("renewal", self._renew)

    def _ask(self, name: str, errand: _Errand) -> None:
        self._errands[name] = errand
        self.wake()

    async def _run_errand(self, outlet: Outlet) -> None:
        # The end comes first: what else is waiting, the client gets when it is back.
        name = "end" if "end" in self._errands else next(iter(self._errands))
        await self._errands.pop(name)(outlet)

    async def _say_reconnect(self, outlet: Outlet, cause: ReconnectCause, delay_seconds: float) -> None:
        with suppress(ClientTooSlow):
            await self._write(outlet, frames.reconnect(self._process.clock.now(), cause, delay_seconds))
        raise StreamEnd

    async def _beat(self, outlet: Outlet) -> None:
        await self._write(outlet, frames.heartbeat(self._process.clock.now()))

    def _set_renewal_alarm(self, seconds: float | None = None) -> None:
        renewal = self._watch.renewal
        if renewal is not None:
            seconds = renewal.every_seconds if seconds is None else seconds
            self._renewal_alarm = self._process.wheel.after(seconds, self._ask_for_renewal)

    async def _renew(self, outlet: Outlet) -> None:
        if self._watch.renewal is None:
            return
        try:
            payload = await self._watch.renewal.renew()
        except MusterError as error:
            # The old ticket is still good for a while.
            _log.warning("ticket_not_renewed", room_id=self._room.room_id, reason=error.reason)
            self._set_renewal_alarm(_RENEWAL_RETRY_SECONDS)
            return
        if payload is None:
            await self._say_reconnect(outlet, ReconnectCause.RECONNECT_CAUSE_TICKET_EXPIRED, 0)
        else:
            await self._write(outlet, frames.ticket(self._process.clock.now(), payload))
            self._set_renewal_alarm()
