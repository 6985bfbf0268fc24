"""Rows 1 and 2: a real submission beside an empty handler, with one worker and with two."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.bench_row import Effort
from tests.bench.empty_server import EmptyServers, empty_servers
from tests.bench.figures import Figure, at_least, at_most
from tests.bench.generator import Burst, Generator, Load
from tests.bench.stack import Stack, new_stack
from tests.bench.submissions import Submissions

_PARTICIPANTS = 1000
# As many answers under way as a large class gives at once; and few, for what a smaller load gets.
_CLASS, _FEW = 300, 64
# More than any of these servers answers in a second on two cores.
_MOST_PER_SECOND = 6000
_MILLI, _MICRO = 1e3, 1e6


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


async def one_worker(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure a worker against an empty process."""
    turns = await _measured(generator, effort, workers=1)
    return [Figure("throughput, ours to bare", _ratios(turns), "×", at_least(0.6)), *_details(turns)]


async def two_workers(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure two workers against two empty processes."""
    turns = await _measured(generator, effort, workers=2)
    return [
        Figure("throughput, ours to bare", _ratios(turns), "×", at_least(0.65)),
        Figure("p99, ours to bare", [turn.ours.p99 / turn.bare.p99 for turn in turns], "×", at_most(2.0)),
        *_details(turns),
    ]


async def _measured(generator: Generator, effort: Effort, *, workers: int) -> list[_Turn]:
    async with new_stack(workers=workers) as stack, empty_servers(workers) as empty:
        share = int(_MOST_PER_SECOND * effort.seconds)
        rounds = 2 * (effort.rounds + 1) * share // _PARTICIPANTS + 1
        submissions = Submissions(
            await stack.seed("bench", participants=_PARTICIPANTS, rounds=min(rounds, 500))
        )
        turns = [
            await _turn(generator, stack, empty, submissions, share, effort.seconds)
            for _ in range(effort.rounds + 1)
        ]
    # The first one warms up.
    return turns[1:]


async def _turn(
    generator: Generator,
    stack: Stack,
    empty: EmptyServers,
    submissions: Submissions,
    share: int,
    seconds: float,
) -> _Turn:
    async def burst(address: str, load: Load, concurrency: int) -> Burst:
        return await generator.unary(address, load, seconds=seconds, concurrency=concurrency)

    load = submissions.take(share)
    worker, stores = stack.worker_seconds(), stack.store_seconds()
    ours = await burst(stack.address, load, _CLASS)
    worker, stores = stack.worker_seconds() - worker, stack.store_seconds() - stores
    idle = empty.seconds()
    bare = await burst(empty.address, load, _CLASS)
    idle = empty.seconds() - idle
    load = submissions.take(share)
    few_ours, few_bare = [await burst(address, load, _FEW) for address in (stack.address, empty.address)]
    return _Turn(ours, bare, worker / ours.done, stores / ours.done, idle / bare.done, few_ours, few_bare)


def _ratios(turns: Sequence[_Turn]) -> list[float]:
    return [turn.ours.rate / turn.bare.rate for turn in turns]


def _details(turns: Sequence[_Turn]) -> list[Figure]:
    return [
        Figure("ours", [turn.ours.rate for turn in turns], "/s"),
        Figure("bare", [turn.bare.rate for turn in turns], "/s"),
        Figure("ours, worker's CPU a call", [turn.worker * _MICRO for turn in turns], "µs"),
        Figure("ours, stores' CPU a call", [turn.stores * _MICRO for turn in turns], "µs"),
        Figure("bare, CPU a call", [turn.empty * _MICRO for turn in turns], "µs"),
        Figure("ours, p50", [turn.ours.p50 * _MILLI for turn in turns], "ms"),
        Figure("bare, p50", [turn.bare.p50 * _MILLI for turn in turns], "ms"),
        Figure("ours, p99", [turn.ours.p99 * _MILLI for turn in turns], "ms"),
        Figure("bare, p99", [turn.bare.p99 * _MILLI for turn in turns], "ms"),
        Figure(
            f"throughput, {_FEW} at once instead of {_CLASS}",
            [turn.few_ours.rate / turn.few_bare.rate for turn in turns],
            "×",
        ),
    ]
