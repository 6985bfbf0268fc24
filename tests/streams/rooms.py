"""Rooms with a log, written as the write path writes them, and clients that watch them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from muster.stream.v1.stream_pb2 import Envelope, EventRun
from muster_kit.db.engine import Database
from muster_kit.db.migrate import migrate
from muster_kit.db.tables import room_tables
from muster_kit.ids import new_id
from muster_kit.redis_client import open_redis
from muster_kit.streams import Cursor, Feed, Head, Hub, PostgresLog, RedisPublisher, StoredEvent, Tuning
from redis.asyncio import Redis
from sqlalchemy import MetaData

from tests.conftest import DatabaseUrls

SCHEMA = "live"
NORTH = "north"
TABLES = room_tables(MetaData(), SCHEMA)

QUICK = Tuning(check_seconds=30, gap_grace_seconds=0.005, lossy_seconds=0.01)
"""Without a head check that would hide what publications do not bring."""


async def prepare(urls: DatabaseUrls) -> None:
    """Migrate a database."""
    await migrate(urls.owner_url, schema=SCHEMA, versions=Path(__file__).parent / "migrations" / "versions")


@dataclass(slots=True)
class CountingLog:
    """The log of one worker, with every query noted."""

    inner: PostgresLog
    queries: list[str] = field(default_factory=list)

    async def head(self, organization_id: str, room_id: str, /) -> Head | None:
        self.queries.append("head")
        return await self.inner.head(organization_id, room_id)

    async def heads(self, room_ids: Collection[str], /) -> Mapping[str, Head]:
        self.queries.append("heads")
        return await self.inner.heads(room_ids)

    async def read(
        self, organization_id: str, room_id: str, /, *, epoch: int, after_seq: int, limit: int
    ) -> Sequence[StoredEvent]:
        self.queries.append("read")
        return await self.inner.read(organization_id, room_id, epoch=epoch, after_seq=after_seq, limit=limit)


@dataclass(slots=True)
class Worker:
    """One process: a hub of its own."""

    hub: Hub
    log: CountingLog


@dataclass(slots=True)
class World:
    """A database of rooms, and a Redis between the workers."""

    admin: "asyncpg.Connection[Any]"
    app: Database
    writer: Database
    redis: Redis
    publisher: RedisPublisher

    @classmethod
    @asynccontextmanager
    async def over(cls, urls: DatabaseUrls, redis_url: str) -> "AsyncIterator[World]":
        """The world in one migrated database."""
        async with AsyncExitStack() as stack:
            admin = await asyncpg.connect(urls.admin_url)
            stack.push_async_callback(admin.close)
            app, writer = Database.open(urls.app_url), Database.open(urls.writer_url)
            stack.push_async_callback(app.close)
            stack.push_async_callback(writer.close)
            redis = await stack.enter_async_context(open_redis(redis_url))
            yield cls(admin, app, writer, redis, RedisPublisher(redis, schema=SCHEMA))

    @asynccontextmanager
    async def worker(self, tuning: Tuning = QUICK) -> AsyncIterator[Worker]:
        """A process that serves streams."""
        log = CountingLog(PostgresLog(self.app, self.writer, TABLES))
        async with Hub(self.redis, log, schema=SCHEMA, tuning=tuning) as hub:
            yield Worker(hub, log)

    async def create_room(self, *, organization_id: str = NORTH) -> str:
        """A room without events."""
        room_id = new_id()
        await self.admin.execute(
            "INSERT INTO live.room_log (room_id, organization_id, epoch, head_seq) VALUES ($1, $2, $3, 0)",
            room_id,
            organization_id,
            random.getrandbits(62),
        )
        return room_id

    async def append(self, room_id: str, count: int = 1, *, publish: bool = True) -> list[bytes]:
        """Commit a run of events, each of which says its seq, and publish it unless told not to."""
        async with self.admin.transaction():
            row = await self.admin.fetchrow(
                "UPDATE live.room_log SET head_seq = head_seq + $2 WHERE room_id = $1"
                " RETURNING organization_id, epoch, head_seq",
                room_id,
                count,
            )
            first_seq = row["head_seq"] - count + 1
            events = [event(seq) for seq in range(first_seq, first_seq + count)]
            await self.admin.executemany(
                "INSERT INTO live.room_event VALUES ($1, $2, $3, $4, now())",
                [(room_id, first_seq + i, row["organization_id"], e) for i, e in enumerate(events)],
            )
        if publish:
            await self.publisher.publish(room_id, row["epoch"], first_seq, events)
        return events

    async def head(self, room_id: str) -> Cursor:
        """The cursor at the end of a room's log."""
        query = "SELECT epoch, head_seq FROM live.room_log WHERE room_id = $1"
        row = await self.admin.fetchrow(query, room_id)
        return Cursor(row["epoch"], row["head_seq"])

    async def trim(self, room_id: str, first_seq: int) -> None:
        """Keep only the events from `first_seq` on."""
        for statement in (
            "DELETE FROM live.room_event WHERE room_id = $1 AND seq < $2",
            "UPDATE live.room_log SET first_seq = $2 WHERE room_id = $1",
        ):
            await self.admin.execute(statement, room_id, first_seq)

    async def replace_log(self, room_id: str) -> None:
        """Start the room's log over, as a restored backup does."""
        await self.admin.execute("DELETE FROM live.room_event WHERE room_id = $1", room_id)
        await self.admin.execute(
            "UPDATE live.room_log SET epoch = $2, head_seq = 0 WHERE room_id = $1",
            room_id,
            random.getrandbits(62),
        )

    def snapshot_of(self, room_id: str, taken: list[int] | None = None) -> "Callable[[], Any]":
        """What a service passes to `open`; the seqs of all snapshots go to `taken`."""

        async def take() -> tuple[int, bytes]:
            async with self.app.transaction(NORTH) as transaction:
                query = TABLES.room_log.select().where(TABLES.room_log.c.room_id == room_id)
                seq: int = (await transaction.connection.execute(query)).one().head_seq
            if taken is not None:
                taken.append(seq)
            return seq, b"state after %d" % seq

        return take

    @asynccontextmanager
    async def watch(
        self, worker: Worker, room_id: str, after: bytes = b"", **options: Any
    ) -> "AsyncIterator[Client]":
        """A client that watches a room of north."""
        options = {"snapshot": self.snapshot_of(room_id), "snapshot_key": "all"} | options
        async with worker.hub.open(NORTH, room_id, after, **options) as feed, Client.of(feed) as client:
            yield client

    @asynccontextmanager
    async def watch_views(self, worker: Worker, room_id: str, **options: Any) -> "AsyncIterator[Client]":
        """A client that watches only the views of a room."""
        async with worker.hub.open_views(room_id, **options) as feed, Client.of(feed) as client:
            yield client


def event(seq: int) -> bytes:
    """The event with a seq."""
    return b"event %d" % seq


class Client:
    """What one client has received. While `gate` is cleared, it takes nothing."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.frames: list[Envelope] = []
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.serving: asyncio.Task[None]
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, feed: Feed) -> "AsyncIterator[Client]":
        """A client of a stream, which it leaves at the end."""
        client = cls(feed)
        client.serving = asyncio.create_task(feed.serve(client.write))
        client.serving.add_done_callback(lambda _: client._changed.set())
        try:
            yield client
        finally:
            client.serving.cancel()
            await asyncio.gather(client.serving, return_exceptions=True)

    @property
    def events(self) -> list[bytes]:
        """All log events."""
        return [e for frame in self.frames for e in EventRun.FromString(frame.events).events]

    @property
    def kinds(self) -> list[str]:
        """What the frames are."""
        return [kind_of(frame) for frame in self.frames]

    @property
    def cursor(self) -> bytes:
        """Where the client would go on."""
        return self.frames[-1].cursor

    def of_kind(self, kind: str) -> list[Any]:
        """The parts of one kind, in order."""
        return [getattr(frame, kind) for frame in self.frames if kind_of(frame) == kind]

    async def write(self, data: bytes) -> None:
        """Take a frame."""
        await self.gate.wait()
        self.frames.append(Envelope.FromString(data))
        self.sizes.append(len(data))
        self._changed.set()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait until a condition is met; fails when the stream ends before."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self.serving.done(), f"the stream ended after {self.kinds}"
                self._changed.clear()
                await self._changed.wait()

    async def until_kinds(self, *kinds: str) -> None:
        """Wait until the newest frames are of these kinds."""
        await self.until(lambda: self.kinds[-len(kinds) :] == list(kinds))

    async def until_seq(self, seq: int) -> None:
        """Wait until the client is at an event."""
        await self.until(lambda: bool(self.frames) and seq_of(self.cursor) >= seq)

    async def ended(self, *, seconds: float = 30) -> None:
        """Wait until the stream has ended well."""
        async with asyncio.timeout(seconds):
            await asyncio.shield(self.serving)


KINDS = ("events", "snapshot", "view", "ticket", "lossy", "lag", "heartbeat", "reset", "reconnect")


def kind_of(frame: Envelope) -> str:
    """Which one part a frame has."""
    kinds = [field.name for field, _ in frame.ListFields() if field.name in KINDS]
    assert len(kinds) == 1, frame
    return kinds[0]


def seq_of(cursor: bytes) -> int:
    """The seq of a cursor, -1 without one."""
    decoded = Cursor.decode(cursor)
    return -1 if decoded is None else decoded.seq
