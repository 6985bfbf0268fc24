"""One embedded server as a direct child: locked, logged, known to answer, gone when its parent is."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from muster_stack.embedded import child
from muster_stack.embedded.identity import Identity
from muster_stack.embedded.log import Log
from muster_stack.problem import Problem

_POLL_SECONDS = 0.02
# A PostgreSQL with much to write takes its time to end, also when it was told to be fast.
_REMNANT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program: what it is, who it runs as, what it gets when this process dies."""

    arguments: Sequence[str | Path]
    identity: Identity
    death_signal: signal.Signals
    environment: Mapping[str, str]
    directory: Path = Path("/")

    def command(self) -> list[str]:
        """The command line, by way of the exec shim."""
        shim = [sys.executable, "-I", "-S", child.__file__, str(os.getpid())]
        return [*shim, str(int(self.death_signal)), self.identity.name, *map(str, self.arguments)]

    async def spawn(self, **streams: Any) -> asyncio.subprocess.Process:
        """Start it in a session of its own, so that Ctrl-C in the terminal reaches this process alone.

        Call it from a thread that lives as long as the child shall: the kernel takes the end of the
        thread that forked for the end of the parent.
        """
        return await asyncio.create_subprocess_exec(
            *self.command(),
            stdin=asyncio.subprocess.DEVNULL,
            env=dict(self.environment),
            cwd=self.directory,
            start_new_session=True,
            **streams,
        )


class Daemon:
    """A server process and the lock file that all its processes hold open.

    The lock is handed down to the server, so it is free exactly when the last of its processes is gone,
    be they of this run or of a killed earlier one.
    """

    def __init__(self, name: str, *, lock: Path, log: Log) -> None:
        self.name = name
        self._lock = lock
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def start(
        self,
        launch: Launch,
        *,
        clear: Callable[[], None],
        answers: Callable[[], Awaitable[bool]],
        patience: timedelta = timedelta(seconds=60),
    ) -> None:
        """Start the server and return once it answers.

        `clear` runs while no process of the server can exist. Raises Problem with the server's own last
        words when it ends instead, or when it does not answer in time.
        """
        lock = await self._lock_for_child()
        try:
            clear()
            with self._log.open() as log:
                self._process = await launch.spawn(stdout=log, stderr=log, pass_fds=(lock,))
        finally:
            os.close(lock)
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._until(answers, self._process)
        except TimeoutError:
            await self.stop()
            raise Problem(
                f"{self.name} does not answer after {patience.seconds} s; see {self._log.path}."
            ) from None

    async def run_alone(self, launch: Launch) -> tuple[int, str]:
        """Run a program to its end while the server cannot run; return its exit code and output."""
        lock = await self._lock_for_child()
        try:
            process = await launch.spawn(
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, pass_fds=(lock,)
            )
        finally:
            os.close(lock)
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return await process.wait(), output.decode(errors="replace")

    async def wait(self) -> int:
        """Wait for the server to end and return its exit code (negative: the signal)."""
        return await self._process.wait() if self._process else 0

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal and wait so many seconds for the end of all processes, until there is one."""
        if self._process is None:
            return
        for step, seconds in (*steps, (signal.SIGKILL, 10.0)):
            self.send(step)
            try:
                async with asyncio.timeout(seconds):
                    await self._process.wait()
                    os.close(await self._locked(seconds))
                break
            except TimeoutError:
                continue
        self._process = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server's first process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def last_words(self) -> str:
        """Why it ended, as far as its log tells: one sentence."""
        return self._log.last_words(self.name)

    async def _until(
        self, answers: Callable[[], Awaitable[bool]], process: asyncio.subprocess.Process
    ) -> None:
        while not await answers():
            if process.returncode is not None:
                raise Problem(self.last_words())
            await asyncio.sleep(_POLL_SECONDS)

    async def _lock_for_child(self) -> int:
        """The lock, to be inherited by a child; waits until what an earlier run left has ended."""
        try:
            return await self._locked(_REMNANT_SECONDS)
        except TimeoutError:
            raise Problem(
                f"{self.name} of an earlier run has not ended yet; try again in a moment."
            ) from None

    async def _locked(self, seconds: float) -> int:
        """An open descriptor that holds the lock; TimeoutError while processes of the server remain."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(seconds):
                # The kernel offers no event for it, short of a thread that could not be cancelled.
                while not _try_lock(descriptor):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
