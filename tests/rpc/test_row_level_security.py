"""The wall between organizations stands whatever a query asks for."""

import pytest
from muster_kit.db import Database
from muster_kit.db.migrate import APP_ROLE, OWNER_ROLE, WRITER_ROLE
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests.rpc.notes import (
    NOTE,
    NotesService,
    adding,
)

WALLED = ["deadline", "note", "request", "room_event", "room_log"]


async def organizations_seen(database: Database, organization_id: str) -> dict[str, set[str]]:
    async with database.transaction(organization_id) as transaction:
        return {
            table: set(
                await transaction.connection.scalars(text(f"SELECT organization_id FROM notes.{table}"))
            )
            for table in WALLED
        }


async def test_an_organization_sees_its_own_rows_and_no_others(two_organizations: NotesService) -> None:
    for organization_id in ("north", "south"):
        seen = await organizations_seen(two_organizations.app, organization_id)
        assert seen == {table: {organization_id} for table in WALLED}


async def test_without_an_organization_there_is_nothing_to_see(two_organizations: NotesService) -> None:
    for organization_id in ("", "nowhere"):
        seen = await organizations_seen(two_organizations.app, organization_id)
        assert not any(seen.values())
    async with two_organizations.app.connection() as connection:
        assert (await connection.execute(select(NOTE))).all() == []


async def test_the_writers_role_sees_all_organizations_in_the_tables_it_needs(
    two_organizations: NotesService,
) -> None:
    async with two_organizations.writer.transaction("") as transaction:
        for table in ("deadline", "request", "room_event", "room_log"):
            rows = await transaction.connection.scalars(text(f"SELECT organization_id FROM notes.{table}"))
            assert set(rows) == {"north", "south"}
    with pytest.raises(DBAPIError, match="permission denied"):
        await organizations_seen(two_organizations.writer, "north")


async def test_rows_cannot_be_written_into_another_organization(two_organizations: NotesService) -> None:
    app = two_organizations.app
    with pytest.raises(DBAPIError, match="row-level security"):
        await app.run("north", adding("smuggled", "south"))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with app.transaction("north") as transaction:
            await transaction.connection.execute(text("UPDATE notes.note SET organization_id = 'south'"))
    async with app.transaction("north") as transaction:
        deleted = await transaction.connection.execute(text("DELETE FROM notes.note RETURNING text"))
        assert deleted.scalars().all() == ["north"]


async def test_the_organization_ends_with_its_transaction(two_organizations: NotesService) -> None:
    app = two_organizations.open(two_organizations.urls.app_url, pool_size=1)
    await organizations_seen(app, "north")
    async with app.connection() as connection:
        assert (await connection.execute(select(NOTE))).all() == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE notes.note DISABLE ROW LEVEL SECURITY",
        "DROP POLICY organization ON notes.note",
        "CREATE TABLE notes.mine (id int)",
        "CREATE SCHEMA mine",
        "TRUNCATE notes.note",
        "SELECT * FROM notes.alembic_version",
        "SET ROLE muster_owner",
    ],
)
@pytest.mark.parametrize("role", [APP_ROLE, WRITER_ROLE])
async def test_the_services_roles_cannot_take_the_wall_down(
    service: NotesService, role: str, statement: str
) -> None:
    database = service.app if role == APP_ROLE else service.writer
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with database.connection() as connection:
            await connection.execute(text(statement))


async def test_every_table_is_walled_off_and_granted_no_more_than_its_rows(service: NotesService) -> None:
    walls = await service.all(
        "SELECT relname, relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) FROM pg_class "
        "WHERE relnamespace = 'notes'::regnamespace AND relkind = 'r' ORDER BY relname"
    )
    assert walls == [
        ("alembic_version", False, False, OWNER_ROLE),
        *((table, True, True, OWNER_ROLE) for table in WALLED),
    ]
    grants = await service.all(
        "SELECT grantee, array_agg(DISTINCT privilege_type::text ORDER BY privilege_type::text) "
        "FROM information_schema.role_table_grants WHERE table_schema = 'notes' AND grantee <> :owner "
        "GROUP BY grantee ORDER BY grantee",
        owner=OWNER_ROLE,
    )
    assert grants == [(role, ["DELETE", "INSERT", "SELECT", "UPDATE"]) for role in (APP_ROLE, WRITER_ROLE)]
