"""Row 4: what one submission costs in a session of ten thousand, beside one of a hundred."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_most
from tests.bench.generator import Generator
from tests.bench.stack import Stack, new_stack
from tests.bench.submissions import Submissions

_SMALL, _LARGE = 100, 10_000
_SHARE = 4000
_QUICK_SHARE = 2000
# Far from saturation: at it, latency says how long the queue is, not how long an answer takes.
_CONCURRENCY = 8
_MOST_SECONDS = 30.0
_MILLI, _MICRO = 1e3, 1e6


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one submission: CPU of worker and stores, and latency, in seconds."""

    cpu: float
    p50: float


async def room_size(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure both sizes in turns on one stack, with one worker; all seats have answered before."""
    share = _QUICK_SHARE if effort.is_quick else _SHARE
    async with new_stack() as stack:
        # One turn more than is measured: it warms up, and puts all of the large session on its board.
        large_rounds = 1 + -(-share * effort.rounds // _LARGE)
        small_rounds = (share * (effort.rounds + 1)) // _SMALL
        large = Submissions(await stack.seed("large", participants=_LARGE, rounds=large_rounds))
        small = Submissions(await stack.seed("small", participants=_SMALL, rounds=small_rounds))
        await _cost(generator, stack, large, _LARGE, concurrency=64)
        await _cost(generator, stack, small, share, concurrency=64)
        turns = [
            (
                await _cost(generator, stack, large, share, concurrency=_CONCURRENCY),
                await _cost(generator, stack, small, share, concurrency=_CONCURRENCY),
            )
            for _ in range(effort.rounds)
        ]
    return [
        Figure("CPU, large to small", [large.cpu / small.cpu for large, small in turns], "×", at_most(1.2)),
        Figure("p50, large to small", [large.p50 / small.p50 for large, small in turns], "×", at_most(1.2)),
        Figure(f"{_LARGE:,} seats, CPU of worker and stores", [t[0].cpu * _MICRO for t in turns], "µs"),
        Figure(f"{_SMALL} seats, CPU of worker and stores", [t[1].cpu * _MICRO for t in turns], "µs"),
        Figure(f"{_LARGE:,} seats, p50", [t[0].p50 * _MILLI for t in turns], "ms"),
        Figure(f"{_SMALL} seats, p50", [t[1].p50 * _MILLI for t in turns], "ms"),
    ]


async def _cost(
    generator: Generator, stack: Stack, submissions: Submissions, count: int, *, concurrency: int
) -> _Cost:
    before = stack.worker_seconds() + stack.store_seconds()
    burst = await generator.unary(
        *(stack.address, submissions.take(count)),
        seconds=_MOST_SECONDS,
        concurrency=concurrency,
        connections=concurrency,
    )
    used = stack.worker_seconds() + stack.store_seconds() - before
    return _Cost(used / burst.done, burst.p50)
