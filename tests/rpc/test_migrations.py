"""Roles and migrations: made once, whole, and by one starter at a time."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from muster_kit.db import Database, room_tables
from muster_kit.db.engine import asyncpg_url
from muster_kit.db.migrate import APP_ROLE, OWNER_ROLE, WRITER_ROLE, create_roles, migrate
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import TestStores
from tests.rpc.notes import (
    VERSIONS,
    NotesService,
)


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
