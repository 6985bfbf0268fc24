"""Fires deadlines: each of them once, by whichever worker is there, on time to the millisecond."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Table, TextClause, text

from muster_kit.clock import Clock
from muster_kit.db.deadline_rows import Deadline
from muster_kit.db.engine import Database, Transaction
from muster_kit.db.tables import RoomTables
from muster_kit.errors import MusterError, Reason

_log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_MAX_FIRING: Final = 32
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

_PASSING: Final = frozenset({Reason.UNAVAILABLE, Reason.DRAINING, Reason.RATE_LIMITED})

# Due by the database's clock: workers whose own clocks differ agree on it.
_CLAIM: Final = """
WITH due AS MATERIALIZED (
    SELECT room_id, key FROM {deadline}
    WHERE fire_time <= :now AND (claim_expire_time IS NULL OR claim_expire_time <= :now)
    ORDER BY fire_time LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE {deadline} AS deadline
SET fence = deadline.fence + 1, claim_expire_time = clock_timestamp() + :lease
FROM due WHERE deadline.room_id = due.room_id AND deadline.key = due.key
RETURNING deadline.room_id, deadline.key, deadline.organization_id, deadline.fire_time,
    deadline.payload, deadline.fence
"""

_NEXT: Final = """
SELECT fire_time - clock_timestamp() FROM {deadline} WHERE fire_time > :now ORDER BY fire_time LIMIT 1
"""

_RELEASE: Final = """
UPDATE {deadline} SET claim_expire_time = clock_timestamp()
WHERE room_id = :room_id AND key = :key AND fence = :fence
"""


class Deadlines:
    """One worker over a service's deadlines; every process runs one.

    A worker claims what is due, under a lease, and fires it. The effect happens once because
    whatever `fire` does, it does in one transaction with `RoomTransaction.complete_deadline`, which
    fails for a claim that is no longer the newest. A worker that dies, hangs or fails is followed
    by another when its lease is over.

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
        self._database = database
        self._fire = fire
        self._clock = clock
        self._lease = lease
        self._claim_due = _over(tables.deadline, _CLAIM)
        self._find_next = _over(tables.deadline, _NEXT)
        self._release_claim = _over(tables.deadline, _RELEASE)
        self._woken = asyncio.Event()
        self._wake_time = _NEVER

    def wake(self, fire_time: datetime) -> None:
        """Look again at a time; for who set a deadline in this process."""
        if fire_time < self._wake_time:
            self._wake_time = fire_time
            self._woken.set()

    async def run(self) -> None:
        """Fire deadlines until cancelled; while the store is away, try again at growing intervals."""
        firing: set[asyncio.Task[None]] = set()
        pause = _FIRST_PAUSE_SECONDS
        async with asyncio.TaskGroup() as group:
            while True:
                if len(firing) >= _MAX_FIRING:
                    await asyncio.wait(firing, return_when=asyncio.FIRST_COMPLETED)
                try:
                    due, quiet_seconds = await self._claim(_MAX_FIRING - len(firing))
                    pause = _FIRST_PAUSE_SECONDS
                except Exception as error:  # noqa: BLE001 - no fault may end what everything relies on
                    _log.warning("deadlines_not_claimed", error=repr(error))
                    due, quiet_seconds = [], pause * random.uniform(0.5, 1)  # noqa: S311 - a jitter
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                for deadline in due:
                    task = group.create_task(self._fire_one(deadline))
                    firing.add(task)
                    task.add_done_callback(firing.discard)
                await self._rest(quiet_seconds)

    async def _claim(self, limit: int) -> tuple[Sequence[Deadline], float]:
        """Return deadlines to fire, and the seconds until it is worth looking again."""
        # What is set from here on calls for another look; what was set before is found by this one.
        self._wake_time = _NEVER

        async def claim(transaction: Transaction) -> tuple[Sequence[Deadline], float]:
            connection, now = transaction.connection, transaction.now
            rows = await connection.execute(
                self._claim_due, {"now": now, "limit": limit, "lease": self._lease}
            )
            due = [Deadline(**row) for row in rows.mappings()]
            if len(due) == limit:
                return due, 0.0
            left: timedelta | None = await connection.scalar(self._find_next, {"now": now})
            return due, _POLL_SECONDS if left is None else min(left.total_seconds(), _POLL_SECONDS)

        # A claim that landed unseen is void when its lease is over.
        return await self._database.run("", claim)

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := min(end - loop.time(), self._seconds_to_wake())) > 0:
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
            if error.reason in _PASSING:
                await self._release(deadline)
        except Exception:
            log.exception("deadline_failed")

    async def _release(self, deadline: Deadline) -> None:
        """Let anybody take it at the next look, rather than when the lease is over."""

        async def release(transaction: Transaction) -> None:
            key = {"room_id": deadline.room_id, "key": deadline.key, "fence": deadline.fence}
            await transaction.connection.execute(self._release_claim, key)

        try:
            await self._database.run("", release, repeatable=True)
        except MusterError as error:
            _log.warning("deadline_not_released", error=str(error))


def _over(deadline: Table, sql: str) -> TextClause:
    return text(sql.format(deadline=deadline.fullname))
