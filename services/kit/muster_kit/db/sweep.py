"""Removes what has been kept long enough: answered requests and old events."""

from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Table, TextClause, text

from muster_kit.db.engine import Database, Transaction
from muster_kit.db.tables import RoomTables

MINIMUM_KEPT: Final = timedelta(hours=24)
"""How long a repeated request gets its first answer, by contract, and a cursor its place at least."""

_REQUESTS_A_TIME: Final = 5000
_ROOMS_A_TIME: Final = 100

_DELETE_REQUESTS: Final = """
WITH old AS MATERIALIZED (
    SELECT organization_id, caller_id, request_id FROM {request}
    WHERE create_time < :before LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM {request} AS request USING old
WHERE request.organization_id = old.organization_id
  AND request.caller_id = old.caller_id AND request.request_id = old.request_id
"""

# Rooms that are being written are left for the next time.
_DELETE_EVENTS: Final = """
WITH old AS (
    SELECT room_id, max(seq) AS seq FROM {room_event} JOIN {room_log} USING (room_id)
    WHERE create_time < :before GROUP BY room_id LIMIT :rooms
),
taken AS (
    SELECT log.room_id, old.seq FROM {room_log} AS log JOIN old USING (room_id)
    FOR NO KEY UPDATE OF log SKIP LOCKED
),
moved AS (
    UPDATE {room_log} AS log SET first_seq = taken.seq + 1
    FROM taken WHERE log.room_id = taken.room_id
)
DELETE FROM {room_event} AS event USING taken WHERE event.room_id = taken.room_id AND event.seq <= taken.seq
"""


async def sweep_requests(database: Database, request: Table, *, kept: timedelta = MINIMUM_KEPT) -> int:
    """Remove the requests answered longer ago than `kept`, and return how many they were.

    For the writer's role; safe to run in several processes. ValueError when `kept` is below 24 h.
    """
    names = {"request": request.fullname}
    return await _sweep(database, text(_DELETE_REQUESTS.format(**names)), {"limit": _REQUESTS_A_TIME}, kept)


async def sweep_events(database: Database, tables: RoomTables, *, kept: timedelta) -> int:
    """Remove each room's events up to the newest that is older than `kept`; return how many.

    `first_seq` of the room moves along: a cursor from before it leads to a snapshot. For the writer's
    role; safe to run in several processes. ValueError when `kept` is below 24 h.
    """
    names = {table.name: table.fullname for table in (tables.room_log, tables.room_event)}
    return await _sweep(database, text(_DELETE_EVENTS.format(**names)), {"rooms": _ROOMS_A_TIME}, kept)


async def _sweep(
    database: Database, statement: TextClause, parameters: dict[str, int], kept: timedelta
) -> int:
    if kept < MINIMUM_KEPT:
        raise ValueError(f"must be kept for {MINIMUM_KEPT} at least")

    async def once(transaction: Transaction) -> int:
        before = transaction.now - kept
        result = await transaction.connection.execute(statement, parameters | {"before": before})
        return cast("CursorResult[Any]", result).rowcount

    swept = 0
    # A little at a time, so that no lock is held for long.
    while rows := await database.run("", once, repeatable=True):
        swept += rows
    return swept
