"""Reads the durable log of a room: what was published is only a hint, this is the truth."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ARRAY, Text, any_, literal, select

from muster_kit.db.engine import Database
from muster_kit.db.tables import RoomTables


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log reaches: events `first_seq` to `seq` can be read. An empty log has `seq` 0."""

    epoch: int
    seq: int
    first_seq: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a log, serialized."""

    seq: int
    payload: bytes


class Log(Protocol):
    """The logs of one service's rooms. All methods raise MusterError UNAVAILABLE while the store is away."""

    async def head(self, organization_id: str, room_id: str, /) -> Head | None:
        """Return how far the log reaches, or None when the organization has no such room."""
        ...

    async def heads(self, room_ids: Collection[str], /) -> Mapping[str, Head]:
        """Return the same for rooms of any organization, those that exist, with one query."""
        ...

    async def read(
        self, organization_id: str, room_id: str, /, *, epoch: int, after_seq: int, limit: int
    ) -> Sequence[StoredEvent]:
        """Return up to `limit` events after `after_seq` in order, none when the log's epoch is another.

        The first one is not `after_seq + 1` only when that one is no longer kept.
        """
        ...


class NoLog:
    """The Log of a service whose rooms have none, such as boards: there is nothing to resume, only views."""

    async def head(self, _organization_id: str, _room_id: str, /) -> Head | None:
        """There is none."""
        return None

    async def heads(self, _room_ids: Collection[str], /) -> Mapping[str, Head]:
        """There are none."""
        return {}

    async def read(self, *_: object, **__: object) -> Sequence[StoredEvent]:
        """There are none."""
        return ()


class PostgresLog:
    """The Log in the tables that the write path fills.

    Rooms are read as their organization, under row-level security; only the heads of all watched
    rooms, which tell nothing of what is in them, are read with the writer's role.
    """

    def __init__(self, database: Database, writer_database: Database, tables: RoomTables) -> None:
        self._database = database
        self._writer_database = writer_database
        self._log = tables.room_log
        self._event = tables.room_event

    async def head(self, organization_id: str, room_id: str) -> Head | None:
        """Return how far the log reaches, or None when the organization has no such room."""
        log = self._log.c
        query = select(log.epoch, log.head_seq, log.first_seq).where(log.room_id == room_id)
        async with self._database.transaction(organization_id) as transaction:
            row = (await transaction.connection.execute(query)).one_or_none()
        return None if row is None else Head(row.epoch, row.head_seq, row.first_seq)

    async def heads(self, room_ids: Collection[str]) -> Mapping[str, Head]:
        """Return how far the logs of many rooms reach."""
        log = self._log.c
        # One array, not one parameter a room: the statement stays the same however many there are.
        wanted = any_(literal(list(room_ids), ARRAY(Text)))
        query = select(log.room_id, log.epoch, log.head_seq, log.first_seq).where(log.room_id == wanted)
        async with self._writer_database.transaction("") as transaction:
            rows = await transaction.connection.execute(query)
        return {row.room_id: Head(row.epoch, row.head_seq, row.first_seq) for row in rows}

    async def read(
        self, organization_id: str, room_id: str, *, epoch: int, after_seq: int, limit: int
    ) -> Sequence[StoredEvent]:
        """Return up to `limit` events after `after_seq`, in order."""
        log, event = self._log.c, self._event.c
        query = (
            select(event.seq, event.payload)
            .join(self._log, log.room_id == event.room_id)
            .where(event.room_id == room_id, log.epoch == epoch, event.seq > after_seq)
            .order_by(event.seq)
            .limit(limit)
        )
        async with self._database.transaction(organization_id) as transaction:
            rows = await transaction.connection.execute(query)
        return [StoredEvent(row.seq, row.payload) for row in rows]
