"""The tables of attendance are what the stores think they are, and walled off."""

from muster_presence import tables_attendance
from muster_presence.tables import SCHEMA
from sqlalchemy import Table

from tests.rpc.house import House

TABLES = [table for table in vars(tables_attendance).values() if isinstance(table, Table)]


async def test_the_tables_of_the_code_are_those_of_the_database(house: House) -> None:
    rows = await house.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema",
        schema=SCHEMA,
    )
    in_code = {(table.name, column.name) for table in TABLES for column in table.columns}
    ours = {table.name for table in TABLES}
    assert {row for row in rows if row[0] in ours} == in_code
    assert len(ours) == 8


async def test_every_table_is_walled_off_also_from_the_timers(house: House) -> None:
    ours = [table.name for table in TABLES]
    walled = await house.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'presence'::regnamespace"
        " AND relrowsecurity AND relforcerowsecurity AND relname = ANY (:names)",
        names=ours,
    )
    assert {name for (name,) in walled} == set(ours)
    granted = await house.rows(
        "SELECT table_name FROM information_schema.role_table_grants WHERE table_schema = 'presence'"
        " AND grantee = 'muster_writer' AND table_name = ANY (:names)",
        names=ours,
    )
    assert not granted
