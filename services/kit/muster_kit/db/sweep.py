"""Removes answered requests that have been kept long enough."""

from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Table, text

from muster_kit.db.engine import Database, Transaction

MINIMUM_KEPT: Final = timedelta(hours=24)
"""How long a repeated request gets its first answer, by contract."""

_REQUESTS_A_TIME: Final = 5000

_DELETE: Final = """
WITH old AS MATERIALIZED (
    SELECT organization_id, caller_id, request_id FROM {request}
    WHERE create_time < :before LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM {request} AS request USING old
WHERE request.organization_id = old.organization_id
  AND request.caller_id = old.caller_id AND request.request_id = old.request_id
"""


async def sweep_requests(database: Database, request: Table, *, kept: timedelta = MINIMUM_KEPT) -> int:
    """Remove the requests answered longer ago than `kept`, and return how many they were.

    For the writer's role; safe to run in several processes. ValueError when `kept` is below 24 h.
    """
    if kept < MINIMUM_KEPT:
        raise ValueError(f"must be kept for {MINIMUM_KEPT} at least")
    statement = text(_DELETE.format(request=request.fullname))

    async def once(transaction: Transaction) -> int:
        parameters = {"before": transaction.now - kept, "limit": _REQUESTS_A_TIME}
        result = await transaction.connection.execute(statement, parameters)
        return cast("CursorResult[Any]", result).rowcount

    swept = 0
    # A little at a time, so that no lock is held for long.
    while rows := await database.run("", once, repeatable=True):
        swept += rows
    return swept
