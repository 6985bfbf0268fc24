"""A ledger in a database of its own, over a scope of a real index whose clock tests turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from muster_kit.db import Database
from muster_kit.db.migrate import migrate
from muster_presence.model_intervals import time_of_ms
from muster_presence.store_intervals import Stay
from muster_presence.store_intervals_postgres import PostgresIntervals
from muster_presence.store_ledger_postgres import PostgresLedger
from muster_presence.store_ledger_redis import RedisLedgerIndex
from muster_presence.store_redis import RedisPresence
from muster_presence.usecases_ledger import Ledger
from muster_presence.usecases_reconcile import Reconciler
from muster_stack.services import migrations_of
from redis.asyncio import Redis
from sqlalchemy import text

from tests.conftest import DatabaseUrls, TestStores
from tests.rpc.presence_index import TIMING, Place


@dataclass
class Worker:
    """What one process has of the ledger."""

    index: RedisPresence
    ledger: Ledger
    reconciler: Reconciler


@dataclass
class Books:
    """A scope, the ledger of it, and workers that write and check it."""

    place: Place
    urls: DatabaseUrls
    database: Database
    writer_database: Database
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = PostgresLedger(self.writer_database)
        self.intervals = PostgresIntervals(self.database)

    def open_worker(self, **bounds: Any) -> Worker:
        """Begin another process."""
        ledger = Ledger(self.store, **bounds)
        clock, redis = self.place.clock, self.place.redis
        index = RedisPresence(redis, clock, TIMING, note=ledger.note, note_activity=ledger.note_activity)
        reconciler = Reconciler(
            self.store,
            RedisLedgerIndex(redis, clock, TIMING),
            clock,
            TIMING,
            note=ledger.note,
            every_seconds=0,
        )
        self.workers.append(Worker(index, ledger, reconciler))
        return self.workers[-1]

    def use(self, worker: Worker) -> Worker:
        """Let what happens next be noticed by this process."""
        self.place.index = worker.index
        return worker

    async def check(self, worker: Worker) -> None:
        """Hold the ledger against the index once, and write what was found."""
        await worker.ledger.close()
        await self.look(worker)
        await worker.ledger.close()

    async def look(self, worker: Worker) -> None:
        """Hold the ledger against the index once; what was found is not written yet."""
        await self.store.know([self.place.scope])
        claimed = await self._claim_time()
        # Scopes that other tests have left in the index are looked at as well.
        while await self._claim_time() == claimed:
            await worker.reconciler.check_some()

    async def forget_touches(self) -> None:
        """Let it be long ago that anybody was told to have come."""
        await self.rows("UPDATE presence.ledger_scope SET touch_time = '2000-01-01' RETURNING 1")

    async def _claim_time(self) -> object:
        return await self.rows(
            "SELECT claim_time::text FROM presence.ledger_scope WHERE organization_id = :organization_id",
            organization_id=self.place.scope.organization_id,
        )

    async def stays(self, **wanted: Any) -> list[Stay]:
        """Read the scope's stays."""
        return list(await self.intervals.of_scope(self.place.scope, **wanted))

    async def told(self) -> list[tuple[str, float, float | None]]:
        """Return who was here from when to when, in seconds since the first came."""
        stays = await self.stays()
        first = min((stay.enter_time for stay in stays), default=self.place.clock.time)
        return [
            (stay.user_id, (stay.enter_time - first).total_seconds(), _seconds(stay.leave_time, first))
            for stay in stays
        ]

    async def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Return rows of a query, as the batch writer sees them."""
        async with self.writer_database.connection() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), parameters)]


def _seconds(time: datetime | None, first: datetime) -> float | None:
    return None if time is None else (time - first) / timedelta(seconds=1)


@asynccontextmanager
async def open_books(stores: TestStores, redis: Redis) -> AsyncIterator[Books]:
    """Have a ledger with nothing in it."""
    urls = await stores.copy_of("presence", _prepare)
    database = Database.open(urls.app_url, pool_size=2)
    writer_database = Database.open(urls.writer_url, pool_size=2)
    try:
        yield Books(Place(redis), urls, database, writer_database)
    finally:
        await database.close()
        await writer_database.close()
        await stores.drop_database(urls)


async def _prepare(urls: DatabaseUrls) -> None:
    versions = migrations_of("presence")
    assert versions is not None
    await migrate(urls.owner_url, schema="presence", versions=versions)


def ms(time: datetime) -> int:
    """Return a time as the index counts it."""
    return (time - time_of_ms(0)) // timedelta(milliseconds=1)
