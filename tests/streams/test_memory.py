"""What streams hold while nothing happens."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from tests.streams.rooms import NORTH, Worker, World
from tests.waiting import until

STREAMS = 300


@contextmanager
def memory_traced() -> Iterator[None]:
    """Without a trace function meanwhile: that of coverage holds memory for every frame that waits."""
    trace = sys.gettrace()
    sys.settrace(None)
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        sys.settrace(trace)


async def test_a_stream_that_waits_holds_little(world: World, worker: Worker, room_id: str) -> None:
    sent = 0

    async def write(_: bytes) -> None:
        nonlocal sent
        sent += 1

    async def watch() -> None:
        opening = worker.hub.open(
            NORTH, room_id, b"", snapshot=world.snapshot_of(room_id), snapshot_key="all"
        )
        async with opening as feed:
            await feed.serve(write)

    async def held_by(count: int) -> int:
        nonlocal sent
        sent = 0
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        watching.extend([asyncio.create_task(watch()) for _ in range(count)])
        await until(lambda: sent >= count)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    watching: list[asyncio.Task[None]] = []
    try:
        with memory_traced():
            # The first makes what all share. What else the process does meanwhile only adds.
            await held_by(1)
            held = min([await held_by(STREAMS) for _ in range(3)])
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    # The task is in it; a generator, a closure or a dict more would show.
    assert held / STREAMS < 4_000, held / STREAMS
