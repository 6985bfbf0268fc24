"""A whole `muster up` whose processes a test may kill, stop and wait for."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from muster_stack.embedded.stores import DATABASE, Stores, prepare_stores
from muster_stack.state import State

from tests.e2e.running import Running, muster_up

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Told:
    """A line the supervisor printed, and when, by the monotonic clock."""

    event: str
    unit: str
    at: float


class Machine:
    """A running stack with two workers: its processes, its stores, and what its supervisor says."""

    def __init__(self, running: Running, stores: Stores) -> None:
        self.running = running
        self.stores = stores
        self.told: list[Told] = []
        self._news = asyncio.Condition()

    @property
    def address(self) -> str:
        """Where it serves."""
        return self.running.address

    @property
    def database_url(self) -> str:
        """The database, as its superuser, who sees the rows of all organizations."""
        return self.stores.admin_url(DATABASE)

    async def hear(self) -> None:
        """Take in what the supervisor prints until it ends."""
        async for line in self.running.said:
            said = json.loads(line)
            async with self._news:
                self.told.append(Told(said["event"], said.get("unit", ""), time.monotonic()))
                self._news.notify_all()

    async def until_told(self, event: str, unit: str, *, since: float) -> Told:
        """Wait until the supervisor says so of a unit whose name begins like that."""

        def heard() -> Told | None:
            found = (told for told in self.told if told.event == event and told.unit.startswith(unit))
            return next((told for told in found if told.at >= since), None)

        async with asyncio.timeout(_PATIENCE_SECONDS), self._news:
            await self._news.wait_for(lambda: heard() is not None)
            told = heard()
        assert told is not None
        return told

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [pid for pid in children(self.running.pid) if "muster_stack.worker" in command_line(pid)]

    def postmaster(self) -> int | None:
        """The process id of PostgreSQL; None while there is none."""
        return next((pid for pid in children(self.running.pid) if "/postgres -D" in command_line(pid)), None)

    def valkey(self) -> int | None:
        """The process id of Valkey; None while there is none."""
        return next((pid for pid in children(self.running.pid) if "valkey-server" in command_line(pid)), None)

    def backends(self) -> list[int]:
        """The process ids of the PostgreSQL backends that serve the workers."""
        postmaster = self.postmaster()
        return [
            pid
            for pid in (children(postmaster) if postmaster else [])
            if command_line(pid).startswith("postgres: muster_")
        ]

    @contextlib.asynccontextmanager
    async def postgres_stopped(self) -> AsyncIterator[None]:
        """Stop every process of PostgreSQL, as a machine that hangs does, until the block ends."""
        postmaster = self.postmaster()
        assert postmaster is not None
        stopped = [postmaster]
        os.kill(postmaster, signal.SIGSTOP)
        for pid in children(postmaster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        try:
            yield
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def postgres_refusing(self) -> AsyncIterator[None]:
        """End the workers' connections to PostgreSQL, and let it take no others until the block ends."""
        sockets = State(self.running.state).sockets()
        (socket,) = (path for path in sockets.glob(".s.PGSQL.*") if path.suffix != ".lock")
        hidden = sockets / "hidden"
        connection = await asyncpg.connect(self.database_url)
        socket.rename(hidden)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'muster_%'"
            )
            yield
        finally:
            hidden.rename(socket)
            await connection.close()

    @contextlib.asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Wait, at the end of the block, until PostgreSQL has cut the connections it had at its start."""
        cut = asyncio.Event()
        connection = await asyncpg.connect(self.database_url)
        connection.add_termination_listener(lambda _: cut.set())
        yield
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await cut.wait()

    async def until_queried(self) -> float:
        """Wait until PostgreSQL answers a query on a new connection; returns when it did."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                try:
                    connection = await asyncpg.connect(self.database_url, timeout=5)
                    await connection.fetchval("SELECT 1")
                    await connection.close()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return time.monotonic()


@contextlib.asynccontextmanager
async def machine_up(state: Path) -> AsyncIterator[Machine]:
    """Run a stack with two workers until the block ends; it must stop cleanly, whatever was done to it."""
    async with asyncio.TaskGroup() as hearing, muster_up(state, workers=2) as running:
        machine = Machine(running, await prepare_stores(State(state)))
        hearing.create_task(machine.hear())
        yield machine


def children(pid: int) -> list[int]:
    """The process ids of a process's children; none when it is gone."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # Field 4 of proc(5), behind a name that may hold anything.
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return sorted(found)


def command_line(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces, such as a process that comes or goes."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the kernel announces it to the parent alone
            await asyncio.sleep(_POLL_SECONDS)
