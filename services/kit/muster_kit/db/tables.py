"""The tables behind every room: its log, its events, its answered requests and its deadlines.

They are made by `muster_kit.db.room_schema`; a test compares the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)


@dataclass(frozen=True, slots=True)
class RoomTables:
    """One service's set of them.

    - `room_log`: a row a room; whoever holds its lock writes the room. `head_seq` is the seq of the
      newest event, 0 before the first; `first_seq` the oldest that is kept.
    - `room_event`: the events, `seq` without gaps and in commit order.
    - `request`: the answers given, so that a repeated request gets the same one. `response` is null
      only inside the transaction that is about to answer.
    - `deadline`: what has to happen at a time. `fence` changes whenever somebody claims the deadline
      or sets it anew.
    """

    room_log: Table
    room_event: Table
    request: Table
    deadline: Table

    def __iter__(self) -> Iterator[Table]:
        return iter((self.room_log, self.room_event, self.request, self.deadline))


def room_tables(metadata: MetaData, schema: str) -> RoomTables:
    """Return the tables in a service's schema."""
    return RoomTables(
        room_log=Table(
            "room_log",
            metadata,
            Column("room_id", Text, primary_key=True),
            Column("organization_id", Text, nullable=False),
            Column("epoch", BigInteger, nullable=False),
            Column("head_seq", BigInteger, nullable=False),
            Column("first_seq", BigInteger, nullable=False, server_default=text("1")),
            schema=schema,
        ),
        room_event=Table(
            "room_event",
            metadata,
            Column("room_id", Text, nullable=False),
            Column("seq", BigInteger, nullable=False),
            Column("organization_id", Text, nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("create_time", DateTime(timezone=True), nullable=False),
            PrimaryKeyConstraint("room_id", "seq"),
            schema=schema,
        ),
        request=request_table(metadata, schema),
        deadline=Table(
            "deadline",
            metadata,
            Column("room_id", Text, nullable=False),
            Column("key", Text, nullable=False),
            Column("organization_id", Text, nullable=False),
            Column("fire_time", DateTime(timezone=True), nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("fence", BigInteger, nullable=False, server_default=text("0")),
            Column("claim_expire_time", DateTime(timezone=True)),
            PrimaryKeyConstraint("room_id", "key"),
            Index("deadline_fire_time", "fire_time"),
            schema=schema,
        ),
    )


def request_table(metadata: MetaData, schema: str) -> Table:
    """Return the table of answered requests alone, for a service without rooms."""
    return Table(
        "request",
        metadata,
        Column("organization_id", Text, nullable=False),
        Column("caller_id", Text, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("method", Text, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("response", LargeBinary),
        Column("create_time", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("organization_id", "caller_id", "request_id"),
        Index("request_create_time", "create_time", postgresql_using="brin"),
        schema=schema,
    )
