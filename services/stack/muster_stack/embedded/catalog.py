"""The databases of a cluster and the note each carries, as its superuser sees them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from muster_stack.problem import Problem, disk_full

# Generic in its published types alone.
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


class Catalog:
    """Databases are named by us, never by users. Raises Problem when PostgreSQL refuses."""

    def __init__(self, admin_url: str, home: Path) -> None:
        self._admin_url = admin_url
        self._home = home

    async def ensure_database(self, name: str) -> None:
        """Make the database when it does not exist."""
        async with self._connected() as connection:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}"')

    async def note(self, name: str) -> str:
        """What was last noted on the database; empty when nothing was."""
        async with self._connected() as connection:
            query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"
            return str(await connection.fetchval(query, name) or "")

    async def set_note(self, name: str, note: str) -> None:
        """Note something on the database; it is kept, copied and lost together with the data."""
        async with self._connected() as connection:
            quoted = await connection.fetchval("SELECT quote_literal($1::text)", note)
            await connection.execute(f'COMMENT ON DATABASE "{name}" IS {quoted}')

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        try:
            connection = await asyncpg.connect(self._admin_url)
            try:
                yield connection
            finally:
                await connection.close()
        except asyncpg.DiskFullError:
            raise Problem(disk_full(self._home)) from None
        except (asyncpg.PostgresError, OSError) as error:
            raise Problem(f"PostgreSQL does not answer as it should: {error}.") from error
