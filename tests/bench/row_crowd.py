"""Rows 8 and 9: five thousand idle streams on one worker, and a thousand that come back at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.bench import machine
from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_most
from tests.bench.generator import Generator
from tests.bench.stack import Stack, muster_up, new_directory, new_stack
from tests.bench.watchers import watching

_STREAMS, _SEATS, _SHARING = 5000, 1000, 100
# Longer than the longest pause between two heartbeats.
_IDLE_SECONDS, _QUICK_IDLE_SECONDS = 30.0, 10.0
_SETTLE_SECONDS = 3.0
_COMING_BACK, _MISSED = 1000, 20
_KILO = 1e3
_LOG_QUERY = "room_event"


async def crowd(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure what streams cost on which nothing happens, each on a connection of its own, and shared."""
    own = await _idle(generator, effort, connections=_STREAMS)
    shared = await _idle(generator, effort, connections=_STREAMS // _SHARING)
    return [
        Figure("memory a stream, a connection each", [own[0] / _KILO], "KB", at_most(45)),
        Figure("CPU of all while idle, a connection each", [own[1] * 100], "% of a core", at_most(3)),
        Figure(f"memory a stream, {_SHARING} a connection", [shared[0] / _KILO], "KB"),
        Figure(f"CPU of all while idle, {_SHARING} a connection", [shared[1] * 100], "% of a core"),
    ]


async def _idle(generator: Generator, effort: Effort, *, connections: int) -> tuple[float, float]:
    """Return the bytes a stream that a fresh worker grew by, and the share of a core it took while idle."""
    seconds = _QUICK_IDLE_SECONDS if effort.is_quick else _IDLE_SECONDS
    async with new_stack() as stack:
        seeded = await stack.seed("bench", participants=_SEATS, rounds=1)
        (worker,) = stack.workers
        before = machine.resident_bytes(worker)
        async with watching(generator, stack, seeded, streams=_STREAMS, connections=connections) as watchers:
            await watchers.wait_until_ready()
            await asyncio.sleep(_SETTLE_SECONDS)
            start, used = time.monotonic(), stack.worker_seconds()
            await asyncio.sleep(seconds)
            share = (stack.worker_seconds() - used) / (time.monotonic() - start)
            grown = machine.resident_bytes(worker) - before
            await watchers.check()
    return grown / _STREAMS, share


async def return_of_all(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Cut all streams, let events pass, and measure until all are back and have the last one."""
    seconds, reads, queries = [], [], []
    async with _counting_stack() as stack:
        seeded = await stack.seed("bench", participants=_COMING_BACK, rounds=1)
        connection = await asyncpg.connect(stack.url())
        async with watching(
            generator, stack, seeded, streams=_COMING_BACK, connections=_COMING_BACK
        ) as watchers:
            await watchers.wait_until_ready()
            await watchers.tick()
            for _ in range(effort.rounds):
                await watchers.drop()
                last = 0
                for _ in range(_MISSED):
                    last = await watchers.make_event()
                await connection.execute("SELECT pg_stat_statements_reset()")
                start = time.time()
                await watchers.come_back()
                _, caught_up = await watchers.seen(last)
                seconds.append(caught_up - start)
                counts = await _counts(connection)
                reads.append(sum(n for query, n in counts.items() if _LOG_QUERY in query))
                queries.append(sum(counts.values()))
            await watchers.check()
        await connection.close()
    return [
        Figure(f"{_COMING_BACK:,} back, {_MISSED} events caught up", seconds, "s", at_most(5)),
        Figure("queries of the room's log", reads, "", at_most(1)),
        Figure("statements in all", queries, ""),
    ]


@asynccontextmanager
async def _counting_stack() -> AsyncIterator[Stack]:
    """A stack whose PostgreSQL counts statements: it has to be told before it starts."""
    async with new_directory() as directory:
        async with muster_up(directory) as stack:
            await _administer(stack, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        async with muster_up(directory) as stack:
            await _administer(stack, "CREATE EXTENSION pg_stat_statements")
            yield stack


async def _administer(stack: Stack, statement: str) -> None:
    connection = await asyncpg.connect(stack.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _counts(connection: Any) -> Mapping[str, int]:
    """How often each statement ran; what only frames transactions is left out."""
    rows = await connection.fetch(
        "SELECT query, sum(calls)::int AS calls FROM pg_stat_statements"
        " WHERE query !~* '^(begin|commit|rollback)' AND query !~ 'pg_stat_statements' GROUP BY query"
    )
    return {row["query"]: row["calls"] for row in rows}
