"""Starts what it is given in order, starts again what dies, and stops everything in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from muster_stack.problem import Problem

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 10.0
# What ran this long was not broken from the start: its next end is a new story.
_STEADY_SECONDS = 30.0


class Unit(Protocol):
    """A child process that shall always run."""

    name: str

    async def start(self) -> None:
        """Start it and return once it does its work; a Problem when it does not come up."""
        ...

    async def wait(self) -> int:
        """Wait for its end and return its exit code (negative: the signal)."""
        ...

    async def stop(self) -> None:
        """Stop it cleanly; no error when it does not run."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person at the terminal should know: `event` is `ended`, `failed` or `restarted`."""

    event: str
    unit: str
    text: str


Report = Callable[[Notice], None]


class Backoff:
    """How long to wait before the next start: longer after each that did not last."""

    def __init__(self) -> None:
        self._delay = _FIRST_DELAY_SECONDS

    def next(self, *, ran_seconds: float = 0.0) -> float:
        """The seconds to wait now, after a run of so many seconds."""
        if ran_seconds >= _STEADY_SECONDS:
            self._delay = _FIRST_DELAY_SECONDS
        delay = self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)
        return delay


async def keep_running(unit: Unit, report: Report) -> None:
    """Start a unit again whenever it ends, until cancelled."""
    clock = asyncio.get_running_loop().time
    backoff = Backoff()
    while True:
        started = clock()
        code = await unit.wait()
        delay = backoff.next(ran_seconds=clock() - started)
        report(Notice("ended", unit.name, f"{unit.name} {_how(code)}; it is started again."))
        await asyncio.sleep(delay)
        while problem := await _attempt(unit):
            delay = backoff.next()
            report(Notice("failed", unit.name, f"{problem} Next try in {delay:.1f} s."))
            await asyncio.sleep(delay)
        report(Notice("restarted", unit.name, f"{unit.name} runs again."))


async def _attempt(unit: Unit) -> str:
    """Why the unit could not be started; empty when it runs."""
    try:
        await unit.start()
    except Problem as problem:
        return str(problem)
    except OSError as error:
        # Such as no room for another process: that passes, too.
        return f"{unit.name} cannot be started: {error.strerror}."
    return ""


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


@asynccontextmanager
async def started(units: Sequence[Unit]) -> AsyncIterator[None]:
    """Start units side by side on entry; stop all of them on exit, also when one did not start."""
    try:
        starting = [asyncio.ensure_future(unit.start()) for unit in units]
        try:
            await asyncio.gather(*starting)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
        yield
    finally:
        await asyncio.gather(*(unit.stop() for unit in units))


@asynccontextmanager
async def kept(units: Sequence[Unit], report: Report) -> AsyncIterator[None]:
    """Keep started units running until the block is left."""
    keepers = [asyncio.ensure_future(keep_running(unit, report)) for unit in units]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        for outcome in await asyncio.gather(*keepers, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def until_told(work: Callable[[], Awaitable[None]], *, hurry: Callable[[], None]) -> None:
    """Do `work` until it ends or a stop signal comes, which cancels it once; a second calls `hurry`.

    The signals are Ctrl-C, SIGTERM and the end of the terminal.
    """
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(work())
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            # A second cancellation would break off the stopping itself.
            hurry()
        else:
            stopping = True
            working.cancel()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        await working
    except asyncio.CancelledError:
        if not stopping:
            raise
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
