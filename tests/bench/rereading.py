"""The opponent of row 14: a table of who is active, an UPDATE a beat, and a list that all read anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from tests.bench.stack import Stack

# The columns, indexes and view that the design adds to the participants of a room, under its names.
_SCHEMA = """
    CREATE TABLE room_participants (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        room_id bigint NOT NULL,
        user_id text NOT NULL,
        display_name text NOT NULL,
        role text NOT NULL DEFAULT 'student',
        last_active timestamptz NOT NULL DEFAULT now(),
        is_in_competition boolean NOT NULL DEFAULT false,
        current_competition_id bigint,
        session_id text,
        UNIQUE (room_id, user_id)
    );
    CREATE INDEX ON room_participants (room_id, last_active);
    CREATE VIEW active_room_participants AS
        SELECT * FROM room_participants WHERE last_active > now() - interval '30 seconds';
    INSERT INTO room_participants (room_id, user_id, display_name, session_id)
        SELECT 1, 'user-' || n, 'user ' || n, 'session-' || n FROM generate_series(1, {people}) AS n
"""
_BEAT = """
    UPDATE room_participants
    SET last_active = now(), is_in_competition = true, current_competition_id = $2, session_id = $3
    WHERE id = $1
"""
_READ = "SELECT * FROM active_room_participants WHERE room_id = 1 AND role <> 'teacher'"


class Rereading:
    """A room of that design, all of whose people are active and watch who is."""

    def __init__(self, connections: Sequence[Any], *, people: int) -> None:
        self._connections = connections
        self._people = people
        self._beaten = 0

    async def beat(self, count: int) -> None:
        """So many people beat, one after the other, as their clients do."""
        for _ in range(count):
            person = self._beaten % self._people + 1
            self._beaten += 1
            await self._connections[0].execute(_BEAT, person, self._beaten, f"session-{person}")

    async def read(self, count: int) -> None:
        """So many watchers read the list; what they do with it is not counted."""

        async def read(connection: Any, times: int) -> None:
            for _ in range(times):
                await connection.fetch(_READ)

        share = count // len(self._connections)
        await asyncio.gather(*(read(connection, share) for connection in self._connections))


@contextlib.asynccontextmanager
async def rereading(stack: Stack, *, people: int, connections: int) -> AsyncIterator[Rereading]:
    """The design in a database of its own, in the same PostgreSQL with the same settings."""
    async with contextlib.AsyncExitStack() as exits:
        admin = await asyncpg.connect(stack.url())
        exits.push_async_callback(admin.close)
        await admin.execute("CREATE DATABASE rereading")
        opened = []
        for _ in range(connections):
            connection = await asyncpg.connect(stack.url(database="rereading"))
            exits.push_async_callback(connection.close)
            opened.append(connection)
        await opened[0].execute(_SCHEMA.format(people=people))
        await opened[0].execute("ANALYZE")
        yield Rereading(opened, people=people)
