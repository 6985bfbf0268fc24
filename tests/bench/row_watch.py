"""Rows 6, 7 and 13: what an event to a thousand watchers costs a server, and how soon the last one has it."""

import asyncio
import json
import sys
from collections.abc import Sequence

from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_most
from tests.bench.generator import Generator
from tests.bench.stack import NotMeasuredError, new_stack
from tests.bench.watchers import watching

_WATCHERS = 1000
_TICK_SECONDS = 0.5
_TICKS_A_ROUND = 30
_QUICK_TICKS = 10
_MILLI, _MICRO = 1e3, 1e6


async def fan_out(_: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure the CPU of a delivery in a process of its own: see `fanout.py`."""
    rounds = await _told("tests.bench.fanout", "--json", "--rounds", str(3 if effort.is_quick else 9))
    bare, streams = [each["bare"] for each in rounds], [each["streams"] for each in rounds]
    return [
        Figure(
            "CPU a delivery, ours to bare writes",
            [ours / theirs for ours, theirs in zip(streams, bare, strict=True)],
            "×",
            at_most(1.2),
        ),
        Figure("ours, CPU a delivery", streams, "µs"),
        Figure("bare writes, CPU a delivery", bare, "µs"),
        Figure("a task a stream, CPU a delivery", [each["woken"] for each in rounds], "µs"),
    ]


async def scope_fan_out(_: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure the same of people in a scope: see `fanout_scope.py`."""
    async with new_stack() as stack:
        rounds = await _told(
            *("tests.bench.fanout_scope", "--redis", stack.redis_url()),
            *("--rounds", str(2 if effort.is_quick else 5)),
        )
    return [
        Figure(
            "CPU a frame, ours to bare writes",
            [each["scope"] / each["bare"] for each in rounds],
            "×",
            at_most(1.2),
        ),
        Figure("ours, CPU a frame", [each["scope"] for each in rounds], "µs"),
        Figure("bare writes, CPU a frame", [each["bare"] for each in rounds], "µs"),
        Figure("ours, CPU a change and watcher, counts included", [each["change"] for each in rounds], "µs"),
    ]


async def _told(module: str, *arguments: str) -> list[dict[str, float]]:
    """Return the rounds that a program of the bench prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "--streams", str(_WATCHERS), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NotMeasuredError(err.decode(errors="replace").strip()[-300:])
    rounds: list[dict[str, float]] = json.loads(out)
    return rounds


async def last_watcher(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure from a command's being sent, which is before its commit, until the last watcher has it."""
    ticks = _QUICK_TICKS if effort.is_quick else _TICKS_A_ROUND
    lasts, firsts, answers, cpu = [], [], [], []
    async with new_stack() as stack:
        seeded = await stack.seed("bench", participants=_WATCHERS, rounds=1)
        async with watching(generator, stack, seeded, streams=_WATCHERS, connections=_WATCHERS) as watchers:
            await watchers.wait_until_ready()
            for number in range(effort.rounds + 1):
                before = stack.worker_seconds()
                seen = []
                for _ in range(ticks):
                    pause = asyncio.create_task(asyncio.sleep(_TICK_SECONDS))
                    seen.append(await watchers.tick())
                    await pause
                if number:
                    lasts.append(_p99([tick.last - tick.sent for tick in seen]))
                    firsts.append(_p99([tick.first - tick.sent for tick in seen]))
                    answers.append(_p99([tick.answered - tick.sent for tick in seen]))
                    cpu.append((stack.worker_seconds() - before) / (ticks * _WATCHERS))
            await watchers.check()
    return [
        Figure("p99, command to last watcher", [each * _MILLI for each in lasts], "ms", at_most(120)),
        Figure("p99, command to first watcher", [each * _MILLI for each in firsts], "ms"),
        Figure("p99, command to its answer", [each * _MILLI for each in answers], "ms"),
        Figure("worker's CPU a delivery, all included", [each * _MICRO for each in cpu], "µs"),
    ]


def _p99(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)]
