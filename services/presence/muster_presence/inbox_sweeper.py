"""Removes what people were told long enough ago, and requests that were answered long ago."""

import asyncio
from datetime import timedelta
from typing import Any, Final, cast

import structlog
from muster_kit.db import Database, Transaction, sweep_requests
from muster_kit.errors import MusterError
from sqlalchemy import CursorResult, text

from muster_presence.tables import ROOMS

_SWEEP_SECONDS: Final = 3600.0
_ROWS_A_TIME: Final = 5000

# Inboxes, and what happened between friends. Whoever writes one of them holds its log first: so does this,
# and leaves alone what is being written.
_EVENTS: Final = text("""
WITH old AS MATERIALIZED (
    SELECT room_id, max(seq) + 1 AS first_seq FROM (
        SELECT room_id, seq FROM presence.room_event
        WHERE create_time < :before AND (room_id LIKE 'inbox/%' OR room_id LIKE 'friends/%') LIMIT :limit
    ) AS found GROUP BY room_id
),
held AS MATERIALIZED (
    SELECT log.room_id, greatest(log.first_seq, old.first_seq) AS first_seq
    FROM presence.room_log AS log JOIN old USING (room_id)
    FOR NO KEY UPDATE OF log SKIP LOCKED
),
moved AS (
    UPDATE presence.room_log AS log SET first_seq = held.first_seq FROM held WHERE log.room_id = held.room_id
)
DELETE FROM presence.room_event AS event USING held
WHERE event.room_id = held.room_id AND event.seq < held.first_seq
""")

_ITEMS: Final = text("""
WITH old AS MATERIALIZED (
    SELECT room_id, kind, item_key FROM presence.inbox_item WHERE expire_time < :now LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM presence.inbox_item AS item USING old
WHERE (item.room_id, item.kind, item.item_key) = (old.room_id, old.kind, old.item_key)
""")

_log = structlog.get_logger(__name__)


async def keep_inboxes_swept(database: Database, kept: timedelta) -> None:
    """Sweep once an hour until cancelled; `kept` is for how long notices stay. For the writer's role."""
    while True:
        try:
            await sweep_inboxes(database, kept)
            await sweep_requests(database, ROOMS.request)
        except MusterError as error:
            _log.warning("inboxes_not_swept", error=str(error))
        await asyncio.sleep(_SWEEP_SECONDS)


async def sweep_inboxes(database: Database, kept: timedelta) -> int:
    """Remove events that are older than `kept` and what waits no more; return how many they were.

    Safe to run in several processes; a little at a time, so that nothing is held for long.
    """

    async def once(transaction: Transaction) -> int:
        now, limit = transaction.now, _ROWS_A_TIME
        events = await transaction.connection.execute(_EVENTS, {"before": now - kept, "limit": limit})
        items = await transaction.connection.execute(_ITEMS, {"now": now, "limit": limit})
        return sum(cast("CursorResult[Any]", result).rowcount for result in (events, items))

    swept = 0
    while rows := await database.run("", once, repeatable=True):
        swept += rows
    return swept
