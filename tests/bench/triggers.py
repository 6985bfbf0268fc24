"""The opponent of row 5: a schema whose triggers recount and rank everything with each response."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from tests.bench.generator import Burst
from tests.bench.stack import Stack

AS_WRITTEN = Path(__file__).with_name("triggers.sql")
SPARING = Path(__file__).with_name("triggers_sparing.sql")
"""Goes on top of the one above."""

# The middle of a quiz of twenty questions.
_BLOCKS, _ANSWERED_BLOCKS = 60, 10
_RIGHT, _LEAST_SCORE, _MOST_SCORE = 0.5, 500, 1000
_COLUMNS = (
    "live_session_id",
    "live_session_block_id",
    "participant_id",
    "response_data",
    "status",
    "score_earned",
    "response_time_ms",
)

Response = tuple[Any, ...]


class Triggers:
    """A session of that design in the middle: everybody has answered the first blocks."""

    def __init__(self, connections: Sequence[Any]) -> None:
        self._connections = connections
        self._chance = random.Random(1)

    async def burst(self, *, seconds: float, connections: int) -> Burst:
        """Begin where the session was, and write one by one on so many connections for so long."""
        left = await self._restart()
        start = time.monotonic()

        async def write(connection: Any) -> int:
            done = 0
            while time.monotonic() < start + seconds:
                try:
                    await connection.execute(_INSERT, *next(left))
                except asyncpg.DeadlockDetectedError:
                    # Two that rank everybody at once; the response is lost to whoever sent it.
                    continue
                done += 1
            return done

        done = await asyncio.gather(*map(write, self._connections[:connections]))
        return Burst(sum(done), time.monotonic() - start)

    async def prepare(self, schemas: Sequence[Path], participants: int) -> None:
        """Make the schema and a session."""
        connection = self._connections[0]
        for schema in schemas:
            await connection.execute(schema.read_text())
        await connection.execute(_SESSION.format(blocks=_BLOCKS, participants=participants))

    async def _restart(self) -> Iterator[Response]:
        """Return the responses that are not given yet, block by block."""
        connection = self._connections[0]
        session = await connection.fetchval("SELECT id FROM live_sessions")
        blocks = await connection.fetch("SELECT id FROM live_session_blocks ORDER BY id")
        seats = await connection.fetch("SELECT id FROM live_session_participants ORDER BY id")

        def responses() -> Iterator[Response]:
            for block in blocks:
                for seat in seats:
                    yield session, block["id"], seat["id"], '{"choice": "a"}', *self._worth()

        everything = responses()
        given = [next(everything) for _ in range(_ANSWERED_BLOCKS * len(seats))]
        await connection.execute("TRUNCATE live_session_responses")
        await connection.execute("ALTER TABLE live_session_responses DISABLE TRIGGER USER")
        await connection.copy_records_to_table("live_session_responses", records=given, columns=_COLUMNS)
        await connection.execute("ALTER TABLE live_session_responses ENABLE TRIGGER USER")
        await connection.execute(_CATCH_UP)
        await connection.execute("VACUUM (ANALYZE)")
        return everything

    def _worth(self) -> tuple[str, int, int]:
        milliseconds = self._chance.randint(500, 20_000)
        if self._chance.random() < _RIGHT:
            return "correct", self._chance.randint(_LEAST_SCORE, _MOST_SCORE), milliseconds
        return "incorrect", 0, milliseconds


@contextlib.asynccontextmanager
async def triggers(
    stack: Stack, name: str, *schemas: Path, participants: int, connections: int
) -> AsyncIterator[Triggers]:
    """The design in a database of that name, in the same PostgreSQL with the same settings."""
    async with contextlib.AsyncExitStack() as exits:
        admin = await asyncpg.connect(stack.url())
        exits.push_async_callback(admin.close)
        await admin.execute(f"CREATE DATABASE {name}")
        opened = []
        for _ in range(connections):
            connection = await asyncpg.connect(stack.url(database=name))
            exits.push_async_callback(connection.close)
            opened.append(connection)
        opponent = Triggers(opened)
        await opponent.prepare(schemas, participants)
        yield opponent


_INSERT = f"""
    INSERT INTO live_session_responses ({", ".join(_COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_SESSION = """
    INSERT INTO live_sessions (session_code) VALUES ('A');
    INSERT INTO live_session_blocks (live_session_id)
        SELECT id FROM live_sessions, generate_series(1, {blocks});
    INSERT INTO live_session_participants (live_session_id, display_name)
        SELECT id, 'player ' || n FROM live_sessions, generate_series(1, {participants}) AS n
"""

# What the triggers would have left behind.
_CATCH_UP = """
    DO $$
    BEGIN
        PERFORM update_block_stats(id) FROM live_session_blocks;
        PERFORM update_participant_stats(id) FROM live_session_participants;
        PERFORM calculate_leaderboard_ranks(id) FROM live_sessions;
        PERFORM update_session_analytics(id) FROM live_sessions;
    END
    $$
"""
