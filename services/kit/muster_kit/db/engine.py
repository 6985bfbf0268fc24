"""Connections to PostgreSQL, and transactions that belong to one organization."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import asyncpg
from sqlalchemy import URL, bindparam, event, exc, func, make_url, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from muster_kit.db.faults import DatabaseAwayError, fault_of, once_more, without_values

# Generic in its published types alone.
if TYPE_CHECKING:
    DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    DriverConnection = asyncpg.Connection

T = TypeVar("T")

ORGANIZATION_SETTING: Final = "muster.organization_id"
"""The setting that row-level security compares with; local to a transaction."""

_CONNECT_SECONDS: Final = 5.0
_POOL_WAIT_SECONDS: Final = 5.0
# The roles' statement_timeout ends a slow statement before; this ends the wait for a dead network.
_COMMAND_SECONDS: Final = 30.0

_DRIVER_ERRORS: Final = (
    exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
)

_BEGIN: Final = select(
    func.set_config(ORGANIZATION_SETTING, bindparam("organization_id"), True),
    func.clock_timestamp().label("now"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A running transaction that sees and writes the rows of one organization.

    `now` is the database's time when it began: the time to write into rows.
    """

    connection: AsyncConnection
    now: datetime
    organization_id: str


class Database:
    """A pool of connections under one role.

    When the database is away, or does not answer in time, everything here raises
    MusterError(UNAVAILABLE) with a time to come back; an error that quotes what was to be stored is
    UnstorableError; other errors of the driver pass unchanged.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> Self:
        """Return a database; nothing is connected before the first use."""
        engine = create_async_engine(
            asyncpg_url(url),
            pool_size=pool_size,
            # The pool's size is what the operator budgets; more would be made and thrown away.
            max_overflow=0,
            pool_timeout=_POOL_WAIT_SECONDS,
            pool_use_lifo=True,
            # What people write does not belong into the log.
            hide_parameters=True,
            connect_args={
                "timeout": _CONNECT_SECONDS,
                "command_timeout": _COMMAND_SECONDS,
                "connection_class": _VerifiedConnection,
                "server_settings": {"application_name": "muster"},
            },
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return cls(engine)

    async def close(self) -> None:
        """Close the idle connections; those in use close when they are given back."""
        await self._engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection whose transaction is committed at the end, or rolled back on an error.

        It belongs to no organization yet, so row-level security shows the app's role nothing.
        """
        commit_unknown = False
        try:
            async with self._connected() as connection:
                yield connection
                commit_unknown = True
                await connection.commit()
        except _DRIVER_ERRORS as error:
            if fault := fault_of(error, commit_unknown=commit_unknown):
                raise fault from error
            if plain := without_values(error):
                raise plain from None
            raise

    @asynccontextmanager
    async def transaction(self, organization_id: str) -> AsyncIterator[Transaction]:
        """Run a transaction of an organization; "" for roles that see all of them."""
        async with self.connection() as connection:
            began = (await connection.execute(_BEGIN, {"organization_id": organization_id})).one()
            yield Transaction(connection, began.now, organization_id)

    async def run(
        self,
        organization_id: str,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        repeatable: bool = False,
    ) -> T:
        """Return what `work` returns, run a second time when the first was lost or lost a race.

        If the connection was lost in the commit, it is run again only when `repeatable`, that is
        when doing it twice does no harm; otherwise that is UNAVAILABLE.
        """

        async def attempt() -> T:
            async with self.transaction(organization_id) as transaction:
                return await work(transaction)

        return await once_more(attempt, repeatable=repeatable)

    async def now(self) -> datetime:
        """Return the database's time, in a single round trip; also a probe of its health."""
        async with self.connection() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            answer: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            return answer

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._engine.connect())
            except OSError as error:
                raise DatabaseAwayError(commit_unknown=False, detail=repr(error)) from error
            yield connection


def asyncpg_url(url: str) -> URL:
    """Return a `postgresql://` address as SQLAlchemy takes it for asyncpg; libpq's `sslmode` works."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    if (mode := parsed.query.get("sslmode")) is not None:
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return parsed


async def driver_of(connection: AsyncConnection) -> DriverConnection:
    """Return asyncpg's connection, for what SQLAlchemy cannot say: several statements in one trip."""
    raw = await connection.get_raw_connection()
    driver: DriverConnection | None = raw.driver_connection
    if driver is None:
        raise DatabaseAwayError(commit_unknown=False, detail="the connection is gone")
    return driver


class _VerifiedConnection(DriverConnection):
    """A connection on which a commit that PostgreSQL turned into a rollback is an error.

    It does so without a word when an earlier statement failed and somebody caught the error: the
    caller would be told of an effect that is not there.
    """

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        status = await super().execute(query, *args, timeout=timeout)
        if status == "ROLLBACK" and query.startswith("COMMIT"):
            raise asyncpg.InFailedSQLTransactionError(
                "commit of a transaction in which a statement had failed"
            )
        return status


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    # The driver hears of a closed socket without asking: one look instead of a ping a checkout.
    # When one is closed the others likely are, as after a restart of the server.
    if connection.driver_connection.is_closed():
        raise exc.InvalidatePoolError
