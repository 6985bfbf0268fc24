"""Fires deadlines: each of them once, by whichever worker is there, on time to the millisecond."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from muster_kit.clock import Clock
from muster_kit.db.deadline_claims import Claims
from muster_kit.db.deadline_rows import Deadline
from muster_kit.db.engine import Database
from muster_kit.db.tables import RoomTables
from muster_kit.errors import MusterError

_log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_MAX_FIRING: Final = 32
# With as many as this in flight an organization waits for its own; the next claim may hold a few too many.
_MAX_FIRING_OF_ONE: Final = 16
_MAX_CLAIMED: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 3.0
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_AT_ONCE: Final = datetime.min.replace(tzinfo=UTC)


class Deadlines:
    """One worker over a service's deadlines; every process runs one.

    A worker claims what is due, under a lease, and fires it. The effect happens once because
    whatever `fire` does, it does in one transaction with `RoomTransaction.complete_deadline`, which
    fails for a claim that is no longer the newest. A worker that dies or hangs is followed by
    another when its lease is over. What fails is tried again after a second, then at intervals that
    double up to half a minute; neither that nor what one organization has due holds up the others.

    Deadlines set in this process are known here at once, by `wake`; those of others are looked up
    every second, with the time of the next one, so all fire within milliseconds of their time
    unless they were set less than a second before it elsewhere.
    """

    def __init__(
        self,
        database: Database,
        tables: RoomTables,
        *,
        fire: Callable[[Deadline], Awaitable[None]],
        clock: Clock,
        lease: timedelta = timedelta(seconds=10),
    ) -> None:
        """`database` is the writer role's: it sees the deadlines of all organizations."""
        self._claims = Claims(database, tables.deadline, lease=lease)
        self._fire = fire
        self._clock = clock
        self._lease = lease
        self._woken = asyncio.Event()
        self._wake_time = _NEVER
        self._firing: dict[asyncio.Task[None], Deadline] = {}
        self._held_back = False
        self._running: asyncio.Task[None] | None = None
        self._draining = False

    def wake(self, fire_time: datetime) -> None:
        """Look again at a time; for who set a deadline in this process."""
        if fire_time < self._wake_time:
            self._wake_time = fire_time
            self._woken.set()

    async def hasten(self, room_ids: Collection[str], key: str, *, within: timedelta) -> None:
        """Let the deadlines of a name that rooms have fire within a time, if they would later.

        One that is being fired fires again. One that is set anew in the same moment may stay as it is set.
        """
        await self._claims.hasten(room_ids, key, within=within)
        self.wake(self._clock.now() + within)

    async def run(self) -> None:
        """Fire deadlines until cancelled or drained; while the store is away, try at growing intervals."""
        self._running = asyncio.current_task()
        pause = _FIRST_PAUSE_SECONDS
        async with asyncio.TaskGroup() as group:
            while not self._draining:
                if len(self._firing) >= _MAX_FIRING:
                    await asyncio.wait(self._firing, return_when=asyncio.FIRST_COMPLETED)
                    continue
                try:
                    due, quiet_seconds = await self._claim()
                    pause = _FIRST_PAUSE_SECONDS
                except Exception as error:  # noqa: BLE001 - no fault may end what everything relies on
                    _log.warning("deadlines_not_claimed", error=repr(error))
                    due, quiet_seconds = [], pause * random.uniform(0.5, 1)  # noqa: S311 - a jitter
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                for deadline in due:
                    task = group.create_task(self._fire_one(deadline))
                    self._firing[task] = deadline
                    task.add_done_callback(self._note_fired)
                await self._rest(quiet_seconds)

    async def drain(self, *, grace_seconds: float = _DRAIN_SECONDS) -> None:
        """Claim no more, wait for what fires, and give to other workers what takes longer than the grace.

        `run` returns. Without it, what is cut off would wait for its lease to be over.
        """
        self._draining = True
        self._woken.set()
        if self._running is None:
            return
        await asyncio.wait({self._running}, timeout=grace_seconds)
        cut_off = dict(self._firing)
        if not cut_off:
            return
        for task in cut_off:
            task.cancel()
        await asyncio.wait(cut_off)
        try:
            await self._claims.give_back(cut_off.values())
        except MusterError as error:
            _log.warning("deadlines_not_given_back", error=str(error))

    async def _claim(self) -> tuple[Sequence[Deadline], float]:
        """Return deadlines to fire, and the seconds until it is worth looking again."""
        # What is set from here on calls for another look; what was set before is found by this one.
        self._wake_time = _NEVER
        firing_of = Counter(deadline.organization_id for deadline in self._firing.values())
        busy = [organization_id for organization_id, n in firing_of.items() if n >= _MAX_FIRING_OF_ONE]
        self._held_back = bool(busy)
        limit = min(_MAX_CLAIMED, _MAX_FIRING - len(self._firing))
        due, left = await self._claims.take(limit, without=busy)
        if len(due) == limit:
            return due, 0.0
        return due, _POLL_SECONDS if left is None else min(left.total_seconds(), _POLL_SECONDS)

    def _note_fired(self, task: asyncio.Task[None]) -> None:
        del self._firing[task]
        if self._held_back:
            self.wake(_AT_ONCE)

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._draining and (left := min(end - loop.time(), self._seconds_to_wake())) > 0:
            self._woken.clear()
            try:
                async with asyncio.timeout(left):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def _seconds_to_wake(self) -> float:
        return (self._wake_time - self._clock.now()).total_seconds()

    async def _fire_one(self, deadline: Deadline) -> None:
        log = _log.bind(room_id=deadline.room_id, key=deadline.key)
        try:
            async with asyncio.timeout(self._lease.total_seconds()):
                await self._fire(deadline)
        except MusterError as error:
            log.warning("deadline_not_fired", error=str(error))
            await self._put_off(deadline)
        except Exception:
            log.exception("deadline_failed")
            await self._put_off(deadline)

    async def _put_off(self, deadline: Deadline) -> None:
        try:
            again = await self._claims.put_off(deadline)
        except MusterError as error:
            # Then the lease has to run out.
            _log.warning("deadline_not_put_off", error=str(error))
        else:
            if again is not None:
                self.wake(again)
