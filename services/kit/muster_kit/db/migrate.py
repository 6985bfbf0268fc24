"""Roles, schemas and migrations: all that is done as somebody other than the services themselves."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Executable, MetaData, Table, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

from muster_kit.db.engine import ORGANIZATION_SETTING, asyncpg_url
from muster_kit.db.tables import request_table, room_tables

OWNER_ROLE: Final = "muster_owner"
"""Owns the schemas and runs the migrations; no service runs as this role."""
APP_ROLE: Final = "muster_app"
"""What the services run as: row-level security shows it one organization at a time."""
WRITER_ROLE: Final = "muster_writer"
"""What batch writers and timers run as: it sees all organizations, in the few tables they need."""

_ENVIRONMENT: Final = Path(__file__).parent / "environment"

# A process that hangs in a transaction holds a room's lock: the server must not wait for it long.
_LIMITS: Final = {
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "15s",
}


class Operations(Protocol):
    """What is used here of `alembic.op`."""

    def execute(self, sqltext: Executable | str) -> None:
        """Run a statement."""
        ...


async def create_roles(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Create the three roles, or give them these passwords, in the database of the address.

    `passwords` are by role. The admin needs CREATEROLE and to own the database. An operator may do
    the same by hand; what a role may touch is granted by the migrations.
    """
    async with _locked(admin_url, "roles") as connection:
        for role in (OWNER_ROLE, APP_ROLE, WRITER_ROLE):
            exists = await connection.scalar(
                text("SELECT true FROM pg_roles WHERE rolname = :role"), {"role": role}
            )
            await _execute_formatted(
                connection,
                f"{'ALTER' if exists else 'CREATE'} ROLE %I LOGIN PASSWORD %L",
                role,
                passwords[role],
            )
        for role in (APP_ROLE, WRITER_ROLE):
            for setting, value in _LIMITS.items():
                await _execute_formatted(connection, "ALTER ROLE %I SET %I = %L", role, setting, value)
        database = str(await connection.scalar(select(func.current_database())))
        await _execute_formatted(
            connection, "GRANT CONNECT, CREATE ON DATABASE %I TO %I", database, OWNER_ROLE
        )
        for role in (APP_ROLE, WRITER_ROLE):
            await _execute_formatted(connection, "GRANT CONNECT ON DATABASE %I TO %I", database, role)


async def migrate(owner_url: str, *, schema: str, versions: Path, revision: str = "head") -> None:
    """Bring one service's schema to a revision, in one transaction; `versions` is its Alembic folder.

    Whoever comes second waits for the first, and then finds nothing left to do.
    """
    async with _locked(owner_url, schema) as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_schema(schema)):
            await connection.execute(CreateSchema(schema))
        await _execute_formatted(
            connection, "GRANT USAGE ON SCHEMA %I TO %I, %I", schema, APP_ROLE, WRITER_ROLE
        )
        await connection.run_sync(_upgrade, schema, versions, revision)


def row_level_security(op: Operations, schema: str, table: str, *, writer: bool = False) -> None:
    """Wall a table off by its column `organization_id`, and grant reading and writing it.

    The app's role then sees the rows of the transaction's organization, and no row without one.
    `writer` tables are also open to the writer's role, for all organizations. The owner is walled
    off too: a migration that moves data lifts FORCE while it does.
    """
    name = f"{schema}.{table}"
    rule = f"organization_id = nullif(current_setting('{ORGANIZATION_SETTING}', true), '')"
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY organization ON {name} TO {APP_ROLE} USING ({rule}) WITH CHECK ({rule})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {APP_ROLE}")
    if writer:
        op.execute(f"CREATE POLICY writer ON {name} TO {WRITER_ROLE} USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {WRITER_ROLE}")


def create_room_tables(op: Operations, schema: str) -> None:
    """Create and wall off the tables of rooms; the first migration of a service with rooms calls it.

    Released migrations must not change what they do: a later column comes by a function of its own.
    """
    for table in room_tables(MetaData(), schema):
        _create(op, schema, table)


def create_request_table(op: Operations, schema: str) -> None:
    """Create and wall off the table of answered requests, for a service without rooms."""
    _create(op, schema, request_table(MetaData(), schema))


def _create(op: Operations, schema: str, table: Table) -> None:
    op.execute(CreateTable(table))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        op.execute(CreateIndex(index))
    row_level_security(op, schema, table.name, writer=True)


def _upgrade(connection: Connection, schema: str, versions: Path, revision: str) -> None:
    config = Config()
    # A percent sign starts an interpolation in Alembic's options.
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema, metadata=None)
    command.upgrade(config, revision)


@contextlib.asynccontextmanager
async def _locked(url: str, what: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            key = func.hashtextextended(f"muster.migrate.{what}", 0)
            await connection.execute(select(func.pg_advisory_xact_lock(key)))
            yield connection
    finally:
        await engine.dispose()


async def _execute_formatted(connection: AsyncConnection, template: str, *values: str) -> None:
    # Such statements take no parameters; PostgreSQL's own format() quotes what goes into them.
    names = [f"v{i}" for i in range(len(values))]
    statement = text(f"SELECT format(:template, {', '.join(f'CAST(:{name} AS text)' for name in names)})")
    formatted = await connection.scalar(
        statement, {"template": template, **dict(zip(names, values, strict=True))}
    )
    await connection.exec_driver_sql(str(formatted))
