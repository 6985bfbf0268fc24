"""Python processes of our own: workers that serve until told to stop, and jobs that run to their end."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from muster_stack.embedded.daemon import Launch
from muster_stack.embedded.identity import OURSELVES
from muster_stack.embedded.log import Log
from muster_stack.problem import Problem

_START_SECONDS = 60.0


class Worker:
    """One worker process; it says over a pipe when it serves.

    Without a log its messages go to our stderr. `drain_seconds` is what it may take to stop.
    """

    def __init__(
        self,
        number: int,
        services: Sequence[str],
        *,
        environment: Mapping[str, str],
        drain_seconds: float,
        log: Log | None = None,
    ) -> None:
        self.name = f"worker {number}"
        self._arguments = ["muster_stack.worker", "--shared", *services]
        self._environment = environment
        self._stop_seconds = drain_seconds + 5.0
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and return once it serves; a Problem with its last words when it ends instead."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            try:
                arguments = [*self._arguments, "--ready-fd", str(writing)]
                self._process = await _spawn(arguments, self._environment, self._log, pass_fds=(writing,))
            finally:
                os.close(writing)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    ready = await _read(pipe.fileno())
            except TimeoutError:
                ready = b""
        if not ready:
            await self.stop()
            raise Problem(self.last_words())

    async def wait(self) -> int:
        """Wait for its end and return its exit code (negative: the signal)."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Let it drain; killed when that takes too long."""
        if self._process is None:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._stop_seconds):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs; a second SIGTERM cuts its drain short."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def last_words(self) -> str:
        """Why it ended, as far as it said."""
        return self._log.last_words(self.name) if self._log else f"{self.name} ended; its log says why."


async def run_job(module: str, *, environment: Mapping[str, str], log: Log) -> None:
    """Run a Python module as a child and wait; a Problem with its last words when it fails."""
    process = await _spawn([module], environment, log)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if code != 0:
        raise Problem(log.last_line() or log.last_words(module))


async def _spawn(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Log | None,
    *,
    pass_fds: tuple[int, ...] = (),
) -> asyncio.subprocess.Process:
    # Nothing of it may outlive us, and there is nothing it could still save: what it acknowledged is stored.
    launch = Launch(
        [sys.executable, "-P", "-m", *arguments], OURSELVES, signal.SIGKILL, environment, Path.cwd()
    )
    if log is None:
        return await launch.spawn(pass_fds=pass_fds)
    with log.open() as file:
        return await launch.spawn(stdout=file, stderr=file, pass_fds=pass_fds)


async def _read(descriptor: int) -> bytes:
    """What is written to the pipe next; empty when its other end is closed."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
        return os.read(descriptor, 64)
    finally:
        loop.remove_reader(descriptor)
