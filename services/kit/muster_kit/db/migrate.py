"""Roles, schemas and migrations: all that is done as somebody other than the services themselves."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from muster_kit.db.engine import asyncpg_url
from muster_kit.db.room_schema import create_request_table, create_room_tables
from muster_kit.db.row_security import APP_ROLE, OWNER_ROLE, WRITER_ROLE, row_level_security

# For the migrations of services, which need one import.
__all__ = [
    "APP_ROLE",
    "OWNER_ROLE",
    "WRITER_ROLE",
    "create_request_table",
    "create_roles",
    "create_room_tables",
    "migrate",
    "row_level_security",
]

_ENVIRONMENT: Final = Path(__file__).parent / "environment"

# A process that hangs in a transaction holds a room's lock: the server must not wait for it long.
_LIMITS: Final = {
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "15s",
}


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


def _upgrade(connection: Connection, schema: str, versions: Path, revision: str) -> None:
    config = Config()
    # A percent sign starts an interpolation in Alembic's options.
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
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
