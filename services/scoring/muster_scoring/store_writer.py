"""Connections of the writer's role, over which batches go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg
from muster_kit.db.faults import DatabaseAwayError, fault_of, once_more, without_values
from sqlalchemy import make_url

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 15.0


class WriterConnection:
    """A connection of the writer's role, for one call at a time, made again when it was lost.

    A pool would ask the server to reset the connection after every use, which costs a round trip.
    """

    def __init__(self, url: str) -> None:
        """`url` is the address of the writer's role."""
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: asyncpg.Connection[Any] | None = None

    async def run(self, work: Callable[["asyncpg.Connection[Any]"], Awaitable[T]]) -> T:
        """Return what `work` returns, which is done twice when a connection is lost.

        Raises UNAVAILABLE, and UnstorableError for what the database cannot hold.
        """
        return await once_more(lambda: self._attempt(work), repeatable=True)

    async def close(self) -> None:
        """Close the connection, if it was made."""
        if self._connection is not None:
            await self._connection.close(timeout=_CONNECT_SECONDS)

    async def _attempt(self, work: Callable[["asyncpg.Connection[Any]"], Awaitable[T]]) -> T:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._connect()
        try:
            return await work(connection)
        except (OSError, asyncpg.InternalClientError) as error:
            self._drop(connection)
            raise DatabaseAwayError(commit_unknown=True, detail=repr(error)) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            fault = fault_of(error, commit_unknown=True)
            if isinstance(fault, DatabaseAwayError):
                self._drop(connection)
            if fault is not None:
                raise fault from error
            if plain := without_values(error):
                raise plain from None
            raise

    def _drop(self, connection: "asyncpg.Connection[Any]") -> None:
        # The server said that it closes the connection; the driver may not have noticed yet.
        connection.terminate()
        self._connection = None

    async def _connect(self) -> "asyncpg.Connection[Any]":
        try:
            return await asyncpg.connect(
                self._url,
                timeout=_CONNECT_SECONDS,
                command_timeout=_COMMAND_SECONDS,
                # Compiling takes longer than any of these statements; the driver's own first ones too.
                server_settings={"application_name": "muster scoring writer", "jit": "off"},
            )
        except OSError as error:
            raise DatabaseAwayError(commit_unknown=False, detail=repr(error)) from error
        except asyncpg.PostgresError as error:
            if fault := fault_of(error):
                raise fault from error
            raise


class WriterPool:
    """Some connections of the writer's role; no more are made than are needed at a time."""

    def __init__(self, url: str, *, size: int) -> None:
        self._connections = [WriterConnection(url) for _ in range(size)]
        self._free: asyncio.LifoQueue[WriterConnection] = asyncio.LifoQueue()
        for connection in self._connections:
            self._free.put_nowait(connection)

    async def run(self, work: Callable[["asyncpg.Connection[Any]"], Awaitable[T]]) -> T:
        """Return what `work` returns, like a connection, once one is free."""
        connection = await self._free.get()
        try:
            return await connection.run(work)
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.close()
