"""Claims on due deadlines, as the rows of a table hold them: taken, put off and given back."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Table, TextClause, text

from muster_kit.db.deadline_rows import Deadline
from muster_kit.db.engine import Database, Transaction

_SHORTEST_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(seconds=30)

# Due by the database's clock: workers whose own clocks differ agree on it. What was never tried goes
# first, so that what fails time and again holds nothing else up.
_TAKE: Final = """
WITH due AS MATERIALIZED (
    SELECT room_id, key FROM {deadline}
    WHERE fire_time <= :now AND (claim_expire_time IS NULL OR claim_expire_time <= :now)
      AND organization_id <> ALL (:without)
    ORDER BY claim_expire_time NULLS FIRST, fire_time LIMIT :limit
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

# For as long again as it is late already: the pauses double, whoever makes the tries.
_PUT_OFF: Final = """
UPDATE {deadline}
SET claim_expire_time =
    clock_timestamp() + least(greatest(clock_timestamp() - fire_time, :shortest), :longest)
WHERE room_id = :room_id AND key = :key AND fence = :fence
RETURNING claim_expire_time
"""

# A claim on one does not count any more: what it saw before is not all there is to see now.
_HASTEN: Final = """
WITH later AS MATERIALIZED (
    SELECT room_id, key FROM {deadline}
    WHERE key = :key AND room_id = ANY (:room_ids)
      AND (fire_time > clock_timestamp() + :within OR claim_expire_time IS NOT NULL)
    ORDER BY room_id FOR UPDATE
)
UPDATE {deadline} AS deadline
SET fire_time = clock_timestamp() + :within, fence = deadline.fence + 1, claim_expire_time = NULL
FROM later WHERE deadline.room_id = later.room_id AND deadline.key = later.key
"""

_GIVE_BACK: Final = """
UPDATE {deadline} SET claim_expire_time = NULL WHERE room_id = :room_id AND key = :key AND fence = :fence
"""


class Claims:
    """One worker's claims; each counts until its lease is over, or until somebody else takes it."""

    def __init__(self, database: Database, deadline: Table, *, lease: timedelta) -> None:
        """`database` is the writer role's: it sees the deadlines of all organizations."""
        self._database = database
        self._lease = lease
        self._take = _over(deadline, _TAKE)
        self._next = _over(deadline, _NEXT)
        self._put_off = _over(deadline, _PUT_OFF)
        self._give_back = _over(deadline, _GIVE_BACK)
        self._hasten = _over(deadline, _HASTEN)

    async def take(
        self, limit: int, *, without: Collection[str]
    ) -> tuple[Sequence[Deadline], timedelta | None]:
        """Claim what is due, except of some organizations, and tell how far off the next one is, if any.

        As many as the limit mean that more may be due.
        """

        async def take(transaction: Transaction) -> tuple[Sequence[Deadline], timedelta | None]:
            connection, now = transaction.connection, transaction.now
            asked = {"now": now, "limit": limit, "lease": self._lease, "without": list(without)}
            rows = await connection.execute(self._take, asked)
            due = [Deadline(**row) for row in rows.mappings()]
            if len(due) == limit:
                return due, None
            left: timedelta | None = await connection.scalar(self._next, {"now": now})
            return due, left

        # A claim that landed unseen is void when its lease is over.
        return await self._database.run("", take)

    async def put_off(self, deadline: Deadline) -> datetime | None:
        """Let anybody try again after a pause, and return its end; None when the claim no longer counts."""

        async def put_off(transaction: Transaction) -> datetime | None:
            pauses = {"shortest": _SHORTEST_PAUSE, "longest": _LONGEST_PAUSE}
            end: datetime | None = await transaction.connection.scalar(
                self._put_off, _claim(deadline) | pauses
            )
            return end

        return await self._database.run("", put_off, repeatable=True)

    async def hasten(self, room_ids: Collection[str], key: str, *, within: timedelta) -> None:
        """Let the deadlines of a name that rooms have fire within a time, if they would later."""

        async def hasten(transaction: Transaction) -> None:
            named = {"room_ids": list(room_ids), "key": key, "within": within}
            await transaction.connection.execute(self._hasten, named)

        await self._database.run("", hasten, repeatable=True)

    async def give_back(self, deadlines: Collection[Deadline]) -> None:
        """Let anybody take them at once, as if they had never been claimed."""

        async def give_back(transaction: Transaction) -> None:
            for deadline in deadlines:
                await transaction.connection.execute(self._give_back, _claim(deadline))

        await self._database.run("", give_back, repeatable=True)


def _claim(deadline: Deadline) -> dict[str, object]:
    return {"room_id": deadline.room_id, "key": deadline.key, "fence": deadline.fence}


def _over(deadline: Table, sql: str) -> TextClause:
    return text(sql.format(deadline=deadline.fullname))
