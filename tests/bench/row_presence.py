"""Rows 10 to 12: ten thousand people with a stream each, beats one by one, and beats in bulk."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import machine
from tests.bench.bench_row import Effort
from tests.bench.empty_server import EmptyServers, empty_servers
from tests.bench.figures import Figure, at_least, at_most
from tests.bench.generator import Burst, Generator, Load
from tests.bench.open_streams import opened
from tests.bench.people import AFTER_FIELD, People, batches
from tests.bench.stack import Stack, new_stack

_PEOPLE, _SHARING = 10_000, 100
# Longer than the longest pause between two heartbeats.
_IDLE_SECONDS, _QUICK_IDLE_SECONDS = 30.0, 10.0
_SETTLE_SECONDS = 5.0
_BEATING, _CLASS, _FEW = 1000, 300, 64
# More than any of these servers answers in a second on two cores.
_MOST_PER_SECOND = 8000
_PLAYERS, _BATCH, _BATCHES_AT_ONCE, _MOST_BATCHES = 10_000, 1000, 8, 200
_KILO, _MILLI, _MICRO = 1e3, 1e3, 1e6


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What the streams came to: people a second; CPU seconds and bytes of each; share of a core."""

    rate: float
    worker: float
    stores: float
    memory: float
    idle: float
    bare: float
    bare_cpu: float


async def connected(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure people who connect and then do nothing, each on a connection of their own, and shared."""
    own = await _connected(generator, effort, connections=_PEOPLE)
    shared = await _connected(generator, effort, connections=_PEOPLE // _SHARING)
    return [
        Figure("memory a person, a connection each", [own.memory / _KILO], "KB", at_most(45)),
        Figure("CPU of all while idle, a connection each", [own.idle * 100], "% of a core", at_most(5)),
        Figure("people connected in a second, a connection each", [own.rate], "/s", at_least(1500)),
        Figure("to a bare stream and its connection", [own.rate / own.bare], "×"),
        *_costs(own),
        Figure(f"memory a person, {_SHARING} a connection", [shared.memory / _KILO], "KB"),
        Figure(f"CPU of all while idle, {_SHARING} a connection", [shared.idle * 100], "% of a core"),
        Figure(f"people connected in a second, {_SHARING} a connection", [shared.rate], "/s"),
        Figure("to a bare stream", [shared.rate / shared.bare], "×"),
        *_costs(shared),
    ]


def _costs(crowd: _Crowd) -> list[Figure]:
    return [
        Figure("worker's CPU to connect one", [crowd.worker * _MICRO], "µs"),
        Figure("stores' CPU to connect one", [crowd.stores * _MICRO], "µs"),
        Figure("bare, CPU of a stream", [crowd.bare_cpu * _MICRO], "µs"),
    ]


async def _connected(generator: Generator, effort: Effort, *, connections: int) -> _Crowd:
    seconds = _QUICK_IDLE_SECONDS if effort.is_quick else _IDLE_SECONDS
    async with new_stack() as stack:
        load = People(stack, _PEOPLE).connects()
        async with (
            empty_servers(1, streams=True) as empty,
            opened(generator, empty.address, load, connections=connections) as bare,
        ):
            bare_seconds = await bare.wait_until_ready()
            bare_cpu = empty.seconds() / _PEOPLE
        (worker,) = stack.workers
        memory = machine.resident_bytes(worker)
        before = stack.worker_seconds(), stack.store_seconds()
        streams = opened(*(generator, stack.address, load), connections=connections, after_field=AFTER_FIELD)
        async with streams as people:
            ready_seconds = await people.wait_until_ready()
            used = stack.worker_seconds() - before[0], stack.store_seconds() - before[1]
            await asyncio.sleep(_SETTLE_SECONDS)
            start, idle = time.monotonic(), stack.worker_seconds()
            await asyncio.sleep(seconds)
            idle = (stack.worker_seconds() - idle) / (time.monotonic() - start)
            memory = machine.resident_bytes(worker) - memory
            await people.check()
    return _Crowd(
        rate=_PEOPLE / ready_seconds,
        worker=used[0] / _PEOPLE,
        stores=used[1] / _PEOPLE,
        memory=memory / _PEOPLE,
        idle=idle,
        bare=_PEOPLE / bare_seconds,
        bare_cpu=bare_cpu,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """One burst at ours and one at the bare server; CPU in seconds a call. The same again, of few at once."""

    ours: Burst
    bare: Burst
    worker: float
    stores: float
    empty: float
    few_ours: Burst
    few_bare: Burst


async def beats(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure Heartbeat in turns with a handler that does nothing; one worker."""
    async with new_stack() as stack, empty_servers(1) as empty:
        load = People(stack, _BEATING).beats(int(_MOST_PER_SECOND * effort.seconds))
        # The first one warms up.
        turns = [
            await _turn(generator, stack, empty, load, effort.seconds) for _ in range(effort.rounds + 1)
        ][1:]
    return [
        Figure("throughput, ours to bare", [t.ours.rate / t.bare.rate for t in turns], "×", at_least(0.7)),
        Figure("ours", [turn.ours.rate for turn in turns], "/s"),
        Figure("bare", [turn.bare.rate for turn in turns], "/s"),
        Figure("ours, worker's CPU a beat", [turn.worker * _MICRO for turn in turns], "µs"),
        Figure("ours, stores' CPU a beat", [turn.stores * _MICRO for turn in turns], "µs"),
        Figure("bare, CPU a call", [turn.empty * _MICRO for turn in turns], "µs"),
        Figure("ours, p99", [turn.ours.p99 * _MILLI for turn in turns], "ms"),
        Figure("bare, p99", [turn.bare.p99 * _MILLI for turn in turns], "ms"),
        Figure(
            f"throughput, {_FEW} at once instead of {_CLASS}",
            [turn.few_ours.rate / turn.few_bare.rate for turn in turns],
            "×",
        ),
    ]


async def _turn(generator: Generator, stack: Stack, empty: EmptyServers, load: Load, seconds: float) -> _Turn:
    async def burst(address: str, concurrency: int) -> Burst:
        return await generator.unary(address, load, seconds=seconds, concurrency=concurrency)

    worker, stores, idle = stack.worker_seconds(), stack.store_seconds(), empty.seconds()
    ours = await burst(stack.address, _CLASS)
    worker, stores = stack.worker_seconds() - worker, stack.store_seconds() - stores
    bare = await burst(empty.address, _CLASS)
    idle = empty.seconds() - idle
    few_ours, few_bare = [await burst(address, _FEW) for address in (stack.address, empty.address)]
    return _Turn(ours, bare, worker / ours.done, stores / ours.done, idle / bare.done, few_ours, few_bare)


async def bulk(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure HeartbeatBatch of a service that beats for ten thousand players; one worker."""
    async with new_stack() as stack:
        load = batches(
            stack.service_token(),
            people=_PLAYERS,
            size=_BATCH,
            count=int(_MOST_BATCHES * effort.seconds),
        )
        rates, worker, stores = [], [], []
        for number in range(effort.rounds + 1):
            before = stack.worker_seconds(), stack.store_seconds()
            burst = await generator.unary(
                *(stack.address, load),
                seconds=effort.seconds,
                concurrency=_BATCHES_AT_ONCE,
                connections=_BATCHES_AT_ONCE,
            )
            beaten = Burst(burst.done * _BATCH, burst.seconds)
            if number:
                rates.append(beaten.rate)
                worker.append((stack.worker_seconds() - before[0]) / beaten.done * _MICRO)
                stores.append((stack.store_seconds() - before[1]) / beaten.done * _MICRO)
    return [
        Figure(f"people beaten for, {_BATCH:,} a call", rates, "/s", at_least(50_000)),
        Figure("worker's CPU for each", worker, "µs"),
        Figure("stores' CPU for each", stores, "µs"),
    ]
