"""A small service of its own, for tests of the write path: rooms in which people write notes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from muster.session.v1.chat_service_pb2 import SendMessageRequest
from muster_kit.caller import Caller, CallerKind
from muster_kit.db import (
    Commands,
    Database,
    Publisher,
    RoomTables,
    RoomTransaction,
    Transaction,
    room_tables,
)
from muster_kit.db.migrate import migrate
from muster_kit.ids import new_id
from sqlalchemy import Column, MetaData, Table, Text, insert, text

from tests.conftest import DatabaseUrls

SCHEMA = "notes"
VERSIONS = Path(__file__).parent / "migrations" / "versions"
METADATA = MetaData()
TABLES: RoomTables = room_tables(METADATA, SCHEMA)
NOTE = Table(
    "note",
    METADATA,
    Column("organization_id", Text),
    Column("room_id", Text),
    Column("text", Text),
    schema=SCHEMA,
)

ANA = Caller(CallerKind.USER, subject="ana", organization_id="north")
BEN = Caller(CallerKind.USER, subject="ben", organization_id="north")
STRANGER = Caller(CallerKind.USER, subject="eve", organization_id="south")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """The store a use case works with."""

    transaction: RoomTransaction

    async def write(self, note: str) -> int:
        """Write a note, append the event that says so, and return its seq."""
        await self.insert(note)
        return self.transaction.append(note)

    async def insert(self, note: str) -> None:
        """Write a note that no event tells of."""
        own = self.transaction
        row = {"organization_id": own.organization_id, "room_id": own.room_id, "text": note}
        await own.connection.execute(insert(NOTE), row)


@dataclass(slots=True)
class Listener:
    """Whoever watches the rooms: keeps what was published, or cannot be reached."""

    runs: list[tuple[str, int, int, list[bytes]]] = field(default_factory=list)
    away: bool = False
    lost: int = 0

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        if self.away:
            self.lost += len(events)
            raise ConnectionError("the broker is away")
        self.runs.append((room_id, epoch, first_seq, list(events)))

    def heard(self, room_id: str) -> dict[int, bytes]:
        """Seq → event of a room."""
        return {
            first_seq + i: event
            for room, _, first_seq, events in self.runs
            if room == room_id
            for i, event in enumerate(events)
        }


def encode_event(event: object, seq: int, time: datetime) -> bytes:
    """An event is its seq and its note; a note of `\\0` cannot be encoded."""
    if event == "\0":
        raise ValueError("cannot be encoded")
    return f"{seq}:{event}".encode()


def request(note: str, request_id: str = "") -> SendMessageRequest:
    """The request to write a note."""
    return SendMessageRequest(request_id=request_id, text=note)


def writing(note: str) -> Callable[[Notes], Awaitable[int]]:
    """The use case that writes a note."""

    async def use_case(notes: Notes) -> int:
        return await notes.write(note)

    return use_case


async def write(
    commands: Commands[Notes], room_id: str, note: str, *, request_id: str = "", caller: Caller = ANA
) -> bytes:
    """Write a note as a client would."""
    return await commands.run(
        caller, room_id, writing(note), request=request(note, request_id), encode=seq_answer
    )


def seq_answer(seq: int) -> Int64Value:
    """The answer to a written note."""
    return Int64Value(value=seq)


def text_answer(value: str) -> StringValue:
    """An answer that is a text."""
    return StringValue(value=value)


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


def adding(note: str, organization_id: str = "") -> Work:
    """Work that adds a note, of the transaction's organization or of another."""
    return Work(note, organization_id)


async def prepare(urls: DatabaseUrls) -> None:
    """Migrate a database."""
    await migrate(urls.owner_url, schema=SCHEMA, versions=VERSIONS)


@dataclass(slots=True)
class NotesService:
    """The service over one database, and eyes that see all of it."""

    urls: DatabaseUrls
    app: Database
    writer: Database
    admin: Database
    opened: list[Database] = field(default_factory=list)
    running: list[Commands[Notes]] = field(default_factory=list)

    @classmethod
    def over(cls, urls: DatabaseUrls) -> "NotesService":
        """The service, with a pool a role."""
        app, writer, admin = map(Database.open, (urls.app_url, urls.writer_url, urls.admin_url))
        return cls(urls, app, writer, admin, [app, writer, admin])

    def open(self, url: str, *, pool_size: int = 10) -> Database:
        """Another pool, as another process would have."""
        self.opened.append(Database.open(url, pool_size=pool_size))
        return self.opened[-1]

    def commands(
        self,
        *,
        database: Database | None = None,
        publisher: Publisher | None = None,
        wake: Callable[[datetime], None] | None = None,
        time_limit: timedelta = timedelta(seconds=20),
    ) -> Commands[Notes]:
        """One process's write path."""
        commands = Commands(
            database or self.app,
            TABLES,
            bind=Notes,
            encode_event=encode_event,
            publisher=publisher or Listener(),
            wake=wake,
            time_limit=time_limit,
        )
        self.running.append(commands)
        return commands

    async def new_room(self, caller: Caller = ANA) -> str:
        """A room without events."""

        async def nothing(_: Notes) -> int:
            return 0

        room_id = new_id()
        await self.commands().create(caller, room_id, nothing, request=request(""), encode=seq_answer)
        return room_id

    async def all(self, sql: str, **parameters: object) -> list[Row]:
        """Rows of any query, as the superuser sees them."""
        async with self.admin.connection() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), parameters)]

    async def notes(self, room_id: str) -> list[str]:
        """The notes of a room, in the order they were written."""
        rows = await self.all("SELECT text FROM notes.note WHERE room_id = :id ORDER BY note_id", id=room_id)
        return [row[0] for row in rows]

    async def events(self, room_id: str) -> list[tuple[int, bytes]]:
        """The log of a room; fails unless it ends where the room's row says."""
        rows = await self.all(
            "SELECT seq, payload FROM notes.room_event WHERE room_id = :id ORDER BY seq", id=room_id
        )
        (head,) = (await self.all("SELECT head_seq FROM notes.room_log WHERE room_id = :id", id=room_id))[0]
        assert [seq for seq, _ in rows] == list(range(1, head + 1))
        return [(seq, bytes(payload)) for seq, payload in rows]

    async def requests(self) -> set[str]:
        """The ids of all answered requests; fails when one has no answer."""
        rows = await self.all("SELECT request_id, response IS NULL FROM notes.request")
        assert not any(unanswered for _, unanswered in rows)
        return {request_id for request_id, _ in rows}

    async def close(self) -> None:
        """Let go of everything."""
        for commands in self.running:
            await commands.close()
        for database in self.opened:
            await database.close()
