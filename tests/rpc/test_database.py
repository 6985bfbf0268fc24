"""Transactions, row-level security, migrations and sweeps, against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from muster_kit.db import Database, Transaction, room_tables, sweep_events, sweep_requests
from muster_kit.db.engine import asyncpg_url
from muster_kit.db.migrate import APP_ROLE, OWNER_ROLE, WRITER_ROLE, create_roles, migrate
from muster_kit.errors import MusterError, Reason
from sqlalchemy import Connection, MetaData, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import TestStores
from tests.rpc.cutting_proxy import CuttingProxy
from tests.rpc.notes import ANA, NOTE, STRANGER, TABLES, VERSIONS, NotesService, write

WALLED = ["deadline", "note", "request", "room_event", "room_log"]


@pytest.fixture
async def proxy(
    service: NotesService, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(service.urls.app_url, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture
async def two_organizations(service: NotesService) -> NotesService:
    """A room with a row in every table, in each of two organizations."""
    for caller in (ANA, STRANGER):
        room_id = await service.new_room(caller)
        await write(service.commands(), room_id, caller.organization_id, request_id="id", caller=caller)
    await service.all(
        "INSERT INTO notes.deadline (room_id, key, organization_id, fire_time, payload) "
        "SELECT room_id, 'key', organization_id, now(), '' FROM notes.room_log RETURNING 1"
    )
    return service


def adding(note: str, organization_id: str = "") -> "Work":
    """Work that adds a note, of the transaction's organization or of another."""
    return Work(note, organization_id)


class Work:
    """Adds a note and counts how often it did."""

    def __init__(self, note: str, organization_id: str) -> None:
        self.runs = 0
        self._row = {"room_id": "", "text": note, "organization_id": organization_id}

    async def __call__(self, transaction: Transaction) -> str:
        self.runs += 1
        own = {"organization_id": self._row["organization_id"] or transaction.organization_id}
        await transaction.connection.execute(insert(NOTE), self._row | own)
        return self._row["text"]


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


async def test_a_transaction_is_kept_whole_or_not_at_all(service: NotesService) -> None:
    await service.app.run("north", adding("kept"))

    async def fails(transaction: Transaction) -> None:
        await adding("lost")(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await service.app.run("north", fails)
    assert await service.notes("") == ["kept"]


async def test_a_commit_after_an_error_somebody_caught_is_an_error(service: NotesService) -> None:
    async def hushes_up(transaction: Transaction) -> None:
        await adding("lost")(transaction)
        with pytest.raises(DBAPIError):
            await transaction.connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError, match="had failed"):
        await service.app.run("north", hushes_up)
    assert await service.notes("") == []


async def test_now_is_the_databases_time(service: NotesService) -> None:
    before = await service.app.now()
    async with service.app.transaction("north") as transaction:
        assert before < transaction.now < await service.app.now()
    assert abs(datetime.now(UTC) - before) < timedelta(seconds=60)


async def test_asking_for_the_time_is_one_round_trip(service: NotesService, proxy: CuttingProxy) -> None:
    database = service.open(proxy.url, pool_size=1)
    for _ in range(2):
        await database.now()
    proxy.round_trips = 0
    await database.now()
    assert proxy.round_trips == 1


async def test_work_on_a_connection_that_is_lost_is_done_again_once(
    service: NotesService, proxy: CuttingProxy
) -> None:
    database = service.open(proxy.url)
    work = adding("once")
    proxy.cut_at(b"once", delivers=True)
    assert await database.run("north", work) == "once"
    assert work.runs == 2
    assert await service.notes("") == ["once"]


async def test_a_commit_nobody_heard_of_is_done_again_only_if_that_does_no_harm(
    service: NotesService, proxy: CuttingProxy
) -> None:
    database = service.open(proxy.url)
    once, twice = adding("once"), adding("twice")
    proxy.cut_at(b"COMMIT", delivers=True)
    with pytest.raises(MusterError, match="UNAVAILABLE"):
        await database.run("north", once)
    proxy.cut_at(b"COMMIT", delivers=False)
    await database.run("north", twice, repeatable=True)
    assert (once.runs, twice.runs) == (1, 2)
    assert await service.notes("") == ["once", "twice"]


async def test_idle_connections_that_were_lost_are_not_handed_out(service: NotesService) -> None:
    database = service.open(service.urls.app_url, pool_size=3)
    await asyncio.gather(*(database.now() for _ in range(3)))
    await service.all(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = 'muster_app'"
    )
    for _ in range(3):
        assert await database.now()


async def test_while_postgres_is_away_everything_is_unavailable_and_then_it_works_again(
    service: NotesService, stores: TestStores
) -> None:
    room_id = await service.new_room()
    commands = service.commands()
    attempts = (
        service.app.now,
        lambda: service.app.run("north", adding("away")),
        lambda: write(commands, room_id, "away", request_id="id"),
        lambda: write(commands, room_id, "away"),
    )
    await stores.postgres.stop()
    try:
        for attempt in attempts:
            with pytest.raises(MusterError) as refused:
                await attempt()
            assert refused.value.reason is Reason.UNAVAILABLE
            assert refused.value.retry_after == timedelta(seconds=1)
    finally:
        await stores.postgres.start()
    await write(commands, room_id, "back", request_id="id")
    assert await service.notes(room_id) == ["back"]


async def test_too_many_connections_are_unavailable(service: NotesService) -> None:
    await service.app.now()
    await service.all("SELECT 1")
    async with service.admin.connection() as connection:
        await connection.execute(text(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT 1"))
    try:
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await service.open(service.urls.app_url).now()
    finally:
        async with service.admin.connection() as connection:
            await connection.execute(text(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT -1"))


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_a_database_that_does_not_get_it_done_in_time_is_unavailable(
    service: NotesService, setting: str
) -> None:
    lock = text("LOCK TABLE notes.note IN EXCLUSIVE MODE")

    async def impatient(transaction: Transaction) -> None:
        await transaction.connection.execute(text(f"SET LOCAL {setting} = '20ms'"))
        await adding("late")(transaction)

    async with service.admin.connection() as holder:
        await holder.execute(lock)
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await service.app.run("north", impatient)


async def test_a_plan_that_a_migration_made_invalid_is_made_anew(service: NotesService) -> None:
    database = service.open(service.urls.app_url, pool_size=1)

    async def all_columns(transaction: Transaction) -> int:
        result = await transaction.connection.execute(text("SELECT * FROM notes.note"))
        return len(result.keys())

    assert await database.run("north", all_columns) == 4
    async with service.admin.connection() as connection:
        await connection.execute(text("ALTER TABLE notes.note ADD COLUMN colour text"))
    assert await database.run("north", all_columns) == 5


async def test_the_tables_are_what_the_migration_made(service: NotesService) -> None:
    def difference(connection: Connection) -> list[object]:
        def is_ours(name: str | None, kind: str, _: object) -> bool:
            return name == "notes" if kind == "schema" else name != "alembic_version"

        options = {"include_schemas": True, "include_name": is_ours, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        metadata = MetaData()
        room_tables(metadata, "notes")
        differences: list[object] = compare_metadata(context, metadata)
        return [each for each in differences if "note" not in str(each)[:40]]

    async with service.admin.connection() as connection:
        assert await connection.run_sync(difference) == []


async def test_starters_that_migrate_at_once_do_not_race(stores: TestStores) -> None:
    urls = await stores.create_database()
    try:
        await asyncio.gather(*(migrate(urls.owner_url, schema="notes", versions=VERSIONS) for _ in range(4)))
        database = Database.open(urls.admin_url)
        async with database.connection() as connection:
            rows = await connection.execute(text("SELECT version_num FROM notes.alembic_version"))
            assert rows.scalars().all() == ["0001"]
        await database.close()
    finally:
        await stores.drop_database(urls)


async def test_a_migration_that_fails_leaves_nothing(stores: TestStores, tmp_path: Path) -> None:
    (tmp_path / "0001_broken.py").write_text(
        "from alembic import op\n"
        "revision, down_revision, branch_labels, depends_on = '0001', None, None, None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE notes.half (id int)')\n"
        "    op.execute('SELECT 1 / 0')\n"
    )
    urls = await stores.create_database()
    try:
        with pytest.raises(DBAPIError, match="division by zero"):
            await migrate(urls.owner_url, schema="notes", versions=tmp_path)
        database = Database.open(urls.admin_url)
        async with database.connection() as connection:
            query = text("SELECT count(*) FROM pg_namespace WHERE nspname = 'notes'")
            assert await connection.scalar(query) == 0
        await database.close()
    finally:
        await stores.drop_database(urls)


async def test_roles_are_made_once_and_get_the_passwords_given(stores: TestStores) -> None:
    urls = await stores.create_database()
    awkward = {role: f'it\'s {role}: 100 % \\ "secret"' for role in (OWNER_ROLE, APP_ROLE, WRITER_ROLE)}
    try:
        await create_roles(urls.admin_url, awkward)
        for url in (urls.owner_url, urls.app_url, urls.writer_url):
            role = asyncpg_url(url).username
            assert role is not None
            database = Database.open(
                asyncpg_url(url).set(password=awkward[role]).render_as_string(hide_password=False)
            )
            async with database.connection() as connection:
                assert await connection.scalar(text("SELECT current_user")) == role
                patience = await connection.scalar(text("SHOW lock_timeout"))
                assert patience == ("0" if role == OWNER_ROLE else "5s")
            await database.close()
    finally:
        await create_roles(urls.admin_url, stores.role_passwords)
        await stores.drop_database(urls)


def test_an_address_may_be_written_as_libpq_writes_it() -> None:
    url = asyncpg_url("postgresql://app:p%40ss@db.example:6432/muster?sslmode=require")
    assert url.drivername == "postgresql+asyncpg"
    assert url.query == {"ssl": "require"}
    assert (url.username, url.password, url.host, url.port) == ("app", "p@ss", "db.example", 6432)


async def test_answered_requests_are_kept_for_a_day_and_then_removed(
    two_organizations: NotesService,
) -> None:
    service = two_organizations
    assert await sweep_requests(service.writer, TABLES.request) == 0
    await service.all(
        "UPDATE notes.request SET create_time = now() - interval '25 hours' "
        "WHERE organization_id = 'north' RETURNING 1"
    )
    assert await sweep_requests(service.writer, TABLES.request) == 1
    assert await service.all("SELECT organization_id FROM notes.request") == [("south",)]
    with pytest.raises(ValueError, match="kept"):
        await sweep_requests(service.writer, TABLES.request, kept=timedelta(hours=23))


async def test_old_events_are_removed_from_the_beginning_of_their_rooms(service: NotesService) -> None:
    room_id, quiet_room_id = await service.new_room(), await service.new_room()
    commands = service.commands()
    for i in range(5):
        await write(commands, room_id, f"note {i}")
    await write(commands, quiet_room_id, "recent")
    await service.all(
        "UPDATE notes.room_event SET create_time = now() - interval '31 days' "
        "WHERE room_id = :id AND seq <= 3 RETURNING 1",
        id=room_id,
    )
    kept = timedelta(days=30)
    assert await sweep_events(service.writer, TABLES, kept=kept) == 3
    assert await sweep_events(service.writer, TABLES, kept=kept) == 0
    rows = await service.all("SELECT room_id, head_seq, first_seq FROM notes.room_log")
    assert sorted(rows) == sorted([(room_id, 5, 4), (quiet_room_id, 1, 1)])
    assert await service.all(
        "SELECT seq FROM notes.room_event WHERE room_id = :id ORDER BY seq", id=room_id
    ) == [
        (4,),
        (5,),
    ]
    await write(commands, room_id, "goes on")
