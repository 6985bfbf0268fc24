"""Measures what a delivery costs a server, beside bare writes: python -m tests.bench.fanout."""

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import grpc
import structlog
from muster_kit.ids import new_id
from muster_kit.streams import Head, Hub, StoredEvent
from muster_kit.streams.publisher import channel_of, encode_run
from redis.asyncio import Redis

DELIVERIES = 8000
IDLE_SECONDS = 10.0
EVENT = random.randbytes(200)
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


class EmptyLog:
    """A log in which every room exists and nothing has happened."""

    async def head(self, _organization_id: str, _room_id: str, /) -> Head | None:
        return Head(epoch=1, seq=0, first_seq=1)

    async def heads(self, _room_ids: Collection[str], /) -> Mapping[str, Head]:
        return {}

    async def read(self, *_: object, **__: object) -> Sequence[StoredEvent]:
        return ()


async def snapshot() -> tuple[int, bytes]:
    """An empty room."""
    return 0, b""


class Bare:
    """One task writes to all streams in a loop: the least a delivery can cost."""

    def __init__(self) -> None:
        self.contexts: list[Any] = []
        self.frame = b"x" * 260

    async def watch(self, _request: bytes, context: Any) -> None:
        await context.write(self.frame)
        self.contexts.append(context)
        await asyncio.Event().wait()

    def ready(self) -> int:
        return len(self.contexts)

    async def deliver(self) -> None:
        for context in self.contexts:
            await context.write(self.frame)


class Woken:
    """Each stream's own task is woken by a future and writes: the least that a task a stream can cost."""

    def __init__(self) -> None:
        self.waiters: list[asyncio.Future[None]] = []
        self.frame = b"x" * 260

    async def watch(self, _request: bytes, context: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await context.write(self.frame)
            waiter = loop.create_future()
            self.waiters.append(waiter)
            await waiter

    def ready(self) -> int:
        return len(self.waiters)

    async def deliver(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.set_result(None)
        await settled(lambda: len(self.waiters) == len(waiters))


class Fed:
    """Our streams: publication in, frames out."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.room_id = new_id()
        self.seq = 0

    async def watch(self, _request: bytes, context: Any) -> None:
        async with self.hub.open("north", self.room_id, b"", snapshot=snapshot, snapshot_key="all") as feed:
            await feed.serve(context.write)

    def ready(self) -> int:
        room = self.hub.room(self.room_id)
        return 0 if room is None else sum(s._waiter is not None for s in room.streams)  # type: ignore[attr-defined]

    async def deliver(self) -> None:
        self.seq += 1
        streams = self.ready()
        self.hub._receive(channel_of("bench", self.room_id), encode_run(1, self.seq, [EVENT]))
        await settled(lambda: self.ready() == streams)


Kind: TypeAlias = Bare | Woken | Fed


async def settled(condition: Callable[[], bool]) -> None:
    """Look every now and then, so that looking costs next to nothing."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.005)


@asynccontextmanager
async def served(kinds: Mapping[str, Kind], streams: int) -> AsyncIterator[None]:
    """A server, and for every kind a process of watchers, each with a connection of its own."""
    server = grpc.aio.server()
    handlers = {name: grpc.unary_stream_rpc_method_handler(kind.watch) for name, kind in kinds.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    clients = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--watch", name, "--port", str(port), "--streams", str(streams))
        )
        for name in kinds
    ]
    try:
        await settled(lambda: all(kind.ready() == streams for kind in kinds.values()))
        yield
    finally:
        for client in clients:
            if client.returncode is None:
                client.kill()
            await client.wait()
        await server.stop(0)


async def watch_all(port: int, name: str, streams: int) -> None:
    """The watchers' process: reads and forgets."""

    async def watch() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            while True:
                # A thousand connections at once: not every one succeeds the first time.
                with suppress(grpc.aio.AioRpcError):
                    async for _ in channel.unary_stream(f"/bench/{name}")(b"", wait_for_ready=True):
                        pass

    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(watch())
            await asyncio.sleep(0.001)


async def cost(kind: Kind, streams: int) -> float:
    """The microseconds of CPU that one delivery takes."""
    events = max(1, DELIVERIES // streams)
    start = time.process_time()
    for _ in range(events):
        await kind.deliver()
    return (time.process_time() - start) / (events * streams) * 1e6


async def idle_share() -> float:
    """The share of one CPU that doing nothing takes."""
    start = time.process_time()
    await asyncio.sleep(IDLE_SECONDS)
    return (time.process_time() - start) / IDLE_SECONDS


async def compare(hub: Hub, streams: int, rounds: int) -> list[dict[str, float]]:
    """The kinds in turns, so that whatever else the machine does falls on all of them alike."""
    kinds: dict[str, Kind] = {"bare": Bare(), "woken": Woken(), "streams": Fed(hub)}
    async with served(kinds, streams):
        return [{name: await cost(kind, streams) for name, kind in kinds.items()} for _ in range(rounds)]


def show(streams: int, rounds: Sequence[Mapping[str, float]]) -> None:
    """Print medians, and ratios to what is least."""
    for name in rounds[0]:
        costs = statistics.median(round_[name] for round_ in rounds)
        ratios = {to: statistics.median(r[name] / r[to] for r in rounds) for to in ("bare", "woken")}
        print(
            f"{streams:5} {name:8} {costs:6.1f} us  {ratios['bare']:.2f}x bare  {ratios['woken']:.2f}x woken"
        )


async def rest(kind: Kind, name: str, streams: int) -> None:
    """What streams cost that nothing happens on."""
    async with served({name: kind}, streams):
        print(f"{streams:5} {name:8} idle: {await idle_share():.2%} of a CPU")


async def main(streams: int, rounds: int, *, as_json: bool) -> None:
    """Measure all kinds; for people also what streams cost that nothing happens on."""
    redis: Redis = Redis.from_url("redis://127.0.0.1:1")
    async with redis, Hub(redis, EmptyLog(), schema="bench") as hub:
        costs = await compare(hub, streams, rounds)
        if as_json:
            print(json.dumps(costs))
            return
        show(streams, costs)
        await rest(Woken(), "woken", streams)
        await rest(Fed(hub), "streams", streams)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fanout", description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="the rounds, in microseconds a delivery")
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    # What the listener says about a Redis that is not there is of no interest here.
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    options = _arguments()
    if options.watch:
        asyncio.run(watch_all(options.port, options.watch, options.streams))
    else:
        asyncio.run(main(options.streams, options.rounds, as_json=options.json))
