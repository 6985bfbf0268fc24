"""History is read over an index, however long it is and however many there are of other organizations."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from muster_kit.db import Database
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.store_intervals import HistoryFilter, HistoryPlace
from muster_presence.store_intervals_postgres import PostgresIntervals
from sqlalchemy import event, text

from tests.conftest import TestStores
from tests.rpc.house import prepare

PAGE = 51
MOST_READ = 600
"""A page is not made by reading the history."""
NEWEST = datetime(2026, 3, 2, tzinfo=UTC)
SESSION = ScopeId("org-1", ScopeKind.SESSION, "session-1")
HOME = ScopeId("org-1", ScopeKind.ORGANIZATION)
BEHIND = HistoryPlace(NEWEST - timedelta(hours=100), 10_000)

ELSEWHERE = "org-2"
"""Nobody is at home there."""

# Of each minute one stay of ten minutes, in one of four organizations: half of them at home, the others in
# one of twenty sessions.
_STAYS = """
INSERT INTO presence.presence_interval (
    organization_id, scope_kind, scope_id, user_id, enter_time, leave_time, cause, role, display_name,
    participant_id, told_order
)
SELECT 'org-' || n % 4, CASE WHEN is_home THEN 1 ELSE 2 END, CASE WHEN is_home THEN '' ELSE session END,
    'user-' || n % 997, time, time + interval '10 min', 2, 1, 'Name', '', 1
FROM generate_series(10, 40000) AS n, LATERAL (
    SELECT (n / 4) % 2 = 1 AND n % 4 <> 2 AS is_home, 'session-' || (n / 8) % 20 AS session,
        CAST(:newest AS timestamptz) - n * interval '1 min' AS time
) AS stay
"""


def history(organization_id: str = "org-1", **wanted: Any) -> Callable[[PostgresIntervals], Awaitable[Any]]:
    """Return what reads a page in the middle of a history."""
    after = wanted.pop("after", BEHIND)
    return lambda store: store.history(organization_id, HistoryFilter(**wanted), after=after, limit=PAGE)


READS = {
    "all": history(),
    "of a session": history(scope=SESSION),
    "of home": history(scope=HOME),
    "of a user": history(user_id="user-1"),
    "of a user in a session": history(user_id="user-1", scope=SESSION),
    "of a teacher": history(visible_to="user-1"),
    "of a teacher where nobody is at home": history(ELSEWHERE, visible_to="user-1"),
    "before a time": history(end=NEWEST - timedelta(days=14), after=None),
    "since a time": history(start=NEWEST - timedelta(hours=1), after=None),
    "since long ago": history(start=NEWEST - timedelta(days=25), after=None),
    "of home since a time": history(scope=HOME, start=NEWEST - timedelta(days=1), after=None),
    "of a session since a time": history(scope=SESSION, start=NEWEST - timedelta(days=1), after=None),
    "of a session for its attendance": lambda store: store.of_scope(
        SESSION, start=NEWEST - timedelta(days=1), end=NEWEST
    ),
}


@pytest.fixture(scope="module")
async def long_history(stores: TestStores) -> AsyncIterator[Database]:
    """A database of 40,000 stays and no others, as the planner goes by what there is."""
    urls = await stores.copy_of("house", prepare)
    admin = Database.open(urls.admin_url, pool_size=1)
    async with admin.connection() as connection:
        await connection.execute(text(_STAYS), {"newest": NEWEST})
        await connection.execute(text("ANALYZE presence.presence_interval"))
        await connection.commit()
    yield admin
    await admin.close()
    await stores.drop_database(urls)


@pytest.mark.parametrize("what", READS)
async def test_a_page_takes_no_more_than_it_shows(long_history: Database, what: str) -> None:
    assert rows_read(await plan_of(long_history, READS[what])) <= MOST_READ


async def plan_of(admin: Database, read: Callable[[PostgresIntervals], Awaitable[Any]]) -> Any:
    """Return how a look-up was carried out."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "FROM presence.presence_interval" in statement:
            statements.append((statement, parameters))

    event.listen(admin._engine.sync_engine, "before_cursor_execute", note)
    try:
        await read(PostgresIntervals(admin))
    finally:
        event.remove(admin._engine.sync_engine, "before_cursor_execute", note)
    ((statement, parameters),) = statements
    async with admin.connection() as connection:
        explained = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        )
        (found,) = explained.scalar_one()
        return found["Plan"]


def rows_read(plan: Any) -> int:
    """Return how many rows a plan took from tables and indexes."""
    own = 0
    if "Scan" in plan["Node Type"] and plan["Node Type"] != "Bitmap Index Scan":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(rows_read(each) for each in plan.get("Plans", ()))
