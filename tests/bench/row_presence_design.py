"""Row 14: a minute of a thousand people who see each other, beside a table that is updated and re-read."""

import asyncio
import time
from collections.abc import Sequence

from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_least
from tests.bench.generator import Generator
from tests.bench.open_streams import opened
from tests.bench.people import AFTER_FIELD, MARKER, People
from tests.bench.rereading import rereading
from tests.bench.stack import Stack, new_stack

_PEOPLE = 1000
_MINUTE, _QUICK_SECONDS = 60.0, 15.0
_BEAT_SECONDS = 15.0
_SETTLE_SECONDS = 5.0
# Every second somebody does something else, which all others are told.
_CHANGE_SECONDS = 1.0
# Of their minute: what it is made of is measured by so many, and counted up.
_BEATS, _READS, _READERS = 1000, 2000, 4


async def background_design(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure the CPU of worker and stores through our minute, and of PostgreSQL alone through theirs."""
    async with new_stack() as stack:
        ours = await _our_minute(generator, stack, _QUICK_SECONDS if effort.is_quick else _MINUTE)
        beat, read = await _their_costs(stack)
    beats = _PEOPLE * _MINUTE / _BEAT_SECONDS
    theirs = beats * (beat + _PEOPLE * read)
    # Kinder than the design: nobody reads more than once a second.
    sparing = beats * beat + _PEOPLE * _MINUTE * read
    return [
        Figure("CPU of a minute, theirs to ours", [theirs / ours], "×", at_least(50)),
        Figure("theirs to ours, if nobody reads more than once a second", [sparing / ours], "×"),
        Figure("ours, CPU of a minute", [ours], "s"),
        Figure(f"theirs, counted up from {_BEATS:,} beats and {_READS:,} reads", [theirs], "s"),
        Figure("theirs, CPU of a beat", [beat * 1e6], "µs"),
        Figure("theirs, CPU of reading the list", [read * 1e6], "µs"),
    ]


async def _our_minute(generator: Generator, stack: Stack, seconds: float) -> float:
    """All have two streams, one to be here and one to see who is; returns CPU seconds of a minute."""
    people = People(stack, _PEOPLE)
    here = opened(
        *(generator, stack.address, people.connects()), connections=_PEOPLE, after_field=AFTER_FIELD
    )
    async with here as present:
        # Whoever comes is told to all who watch: a million times here, and none of this minute.
        await present.wait_until_ready()
        watching = opened(
            *(generator, stack.address, people.watches()),
            connections=_PEOPLE,
            after_field=AFTER_FIELD,
            marker=MARKER,
        )
        async with watching as watchers:
            await watchers.wait_until_ready()
            await asyncio.sleep(_SETTLE_SECONDS)
            start, used = time.monotonic(), stack.worker_seconds() + stack.store_seconds()
            for number in range(1, int(seconds / _CHANGE_SECONDS) + 1):
                pause = asyncio.create_task(asyncio.sleep(_CHANGE_SECONDS))
                await generator.unary(
                    *(stack.address, people.activities([number])), seconds=10, concurrency=1, connections=1
                )
                await watchers.seen(number)
                await pause
            used = stack.worker_seconds() + stack.store_seconds() - used
            lasted = time.monotonic() - start
            await watchers.check()
        await present.check()
    return used * _MINUTE / lasted


async def _their_costs(stack: Stack) -> tuple[float, float]:
    """Return the CPU seconds that one beat and one reading of the list take."""
    async with rereading(stack, people=_PEOPLE, connections=_READERS) as design:
        await design.beat(_PEOPLE)
        await design.read(_READERS * 10)
        before = stack.store_seconds()
        await design.beat(_BEATS)
        beaten = stack.store_seconds()
        await design.read(_READS)
        done = stack.store_seconds()
    return (beaten - before) / _BEATS, (done - beaten) / _READS
