"""The opponent of row 5: a schema whose triggers recount and rank everything with each response."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
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
_RIGHT = 0.5
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
Rows = Sequence[Any]


class Triggers:
    """A session of that design, into which responses are written one by one, as its clients do."""

    def __init__(self, connections: Sequence[Any], responses: Iterator[Response]) -> None:
        self._connections = connections
        self._responses = responses

    async def burst(self, *, seconds: float, connections: int) -> Burst:
        """Write on so many connections for so long, going on where the last burst ended."""
        start = time.monotonic()

        async def write(connection: Any) -> int:
            done = 0
            while time.monotonic() < start + seconds:
                try:
                    await connection.execute(_INSERT, *next(self._responses))
                except asyncpg.DeadlockDetectedError:
                    # Two that rank everybody at once; the response is lost to whoever sent it.
                    continue
                done += 1
            return done

        done = await asyncio.gather(*map(write, self._connections[:connections]))
        return Burst(sum(done), time.monotonic() - start)

    async def play(self, count: int) -> None:
        """Write so many, as the session did until now."""
        for response in islice(self._responses, count):
            await self._connections[0].execute(_INSERT, *response)


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
        for schema in schemas:
            await opened[0].execute(schema.read_text())
        await opened[0].execute(_SESSION.format(blocks=_BLOCKS, participants=participants))
        opponent = Triggers(opened, _responses(*[await opened[0].fetch(query) for query in _IDS]))
        await opponent.play(_ANSWERED_BLOCKS * participants)
        yield opponent


def _responses(sessions: Rows, blocks: Rows, seats: Rows) -> Iterator[Response]:
    """Yield an answer of each seat to each block, block by block; half of them are right."""
    chance = random.Random(1)
    for block in blocks:
        for seat in seats:
            worth = ("correct", chance.randint(500, 1000)) if chance.random() < _RIGHT else ("incorrect", 0)
            ids = (sessions[0]["id"], block["id"], seat["id"])
            yield *ids, '{"choice": "a"}', *worth, chance.randint(500, 20_000)


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

_IDS = (
    "SELECT id FROM live_sessions",
    "SELECT id FROM live_session_blocks",
    "SELECT id FROM live_session_participants",
)
