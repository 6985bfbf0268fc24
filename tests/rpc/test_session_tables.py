"""The tables are what the stores think they are, walled off, and indexed for what is asked of them."""

from typing import Any

import pytest
from muster_kit.db import Database
from muster_session.model import LIVE, Status
from muster_session.store_directory import SessionFilter
from muster_session.store_postgres_directory import PostgresDirectory
from muster_session.tables import METADATA, SCHEMA
from sqlalchemy import event, text

from tests.rpc.house import House


async def test_the_tables_of_the_code_are_those_of_the_database(house: House) -> None:
    rows = await house.rows(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
        " WHERE table_schema = :schema AND table_name <> 'alembic_version'",
        schema=SCHEMA,
    )
    in_code = {(table.name, column.name) for table in METADATA.tables.values() for column in table.columns}
    ours = {table for table, _ in in_code}
    assert {(table, column) for table, column, _ in rows if table in ours} == in_code


async def test_every_table_is_walled_off(house: House) -> None:
    rows = await house.rows(
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'session'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'"
    )
    assert {table for table, walled in rows if not walled} == set()


async def test_the_timers_see_of_other_tables_nothing(house: House) -> None:
    rows = await house.rows(
        "SELECT DISTINCT table_name FROM information_schema.role_table_grants"
        " WHERE table_schema = :schema AND grantee = 'muster_writer'",
        schema=SCHEMA,
    )
    assert {name for (name,) in rows} == {
        "deadline",
        "join_code",
        "request",
        "room_event",
        "room_log",
        "wrong_guess",
    }


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (SessionFilter(), "session_newest"),
        (SessionFilter(statuses=LIVE), "session_live"),
        (SessionFilter(statuses=frozenset({Status.ACTIVE})), "session_live"),
        (SessionFilter(host_user_id="ana"), "session_of_host"),
        (SessionFilter(host_user_id="ana", statuses=frozenset({Status.ACTIVE})), "session_live_of_host"),
        (SessionFilter(course_id="c"), "session_of_course"),
        (SessionFilter(class_id="c"), "session_of_class"),
    ],
)
async def test_lists_of_many_sessions_go_over_an_index(
    house: House, wanted: SessionFilter, index: str
) -> None:
    """Over a hundred organizations with thousands of sessions, of which few are live."""
    assert index in await _plan(house, wanted)


async def _plan(house: House, wanted: SessionFilter) -> str:
    admin = Database.open(house.urls.admin_url, pool_size=1)
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "FROM session.session" in statement:
            statements.append((statement, parameters))

    event.listen(admin._engine.sync_engine, "before_cursor_execute", note)
    try:
        await PostgresDirectory(admin, admin).list_sessions("org-1", wanted, after=None, limit=51)
        statement, parameters = statements[-1]
        async with admin.connection() as connection:
            await connection.execute(text(_MANY))
            await connection.execute(text("ANALYZE session.session"))
            rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(row[0] for row in rows)
            await connection.rollback()
            return plan
    finally:
        await admin.close()


_MANY = """
INSERT INTO session.session SELECT
    'many-' || n, 'org-' || n % 100, 'user-' || n % 3000, CASE n % 200 WHEN 0 THEN 'active' ELSE 'ended' END,
    '', '', 'unlisted', 0, false, false, NULL, NULL, false, false, false,
    CASE n % 50 WHEN 0 THEN 'course-' || n % 700 ELSE '' END,
    CASE n % 50 WHEN 0 THEN ARRAY['class-' || n % 700] ELSE '{}'::text[] END,
    '', '', '', 0, 0, 0, '', NULL, NULL, NULL, now() - n * interval '1 minute', 1
FROM generate_series(1, 20000) AS n
"""
