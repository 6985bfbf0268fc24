"""`muster up` as it is started by anyone, with a seeded session, and what its processes use."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlencode

from muster_stack.credentials import Credentials
from muster_stack.embedded.stores import DATABASE

from tests.bench import machine
from tests.e2e import running as started
from tests.e2e.running import MUSTER, Running

ORGANIZATION = "demo"
_SEED_SECONDS = 300.0


class NotMeasuredError(Exception):
    """A row cannot be measured, or what it measured means nothing; one sentence says why."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A running session, as `muster seed` tells it."""

    session_id: str
    host_ticket: str
    round_ids: Sequence[str]
    participant_ids: Sequence[str]
    tickets: Sequence[str]


class Stack:
    """A running stack and a directory for files of the measurement."""

    def __init__(self, running: Running, files: Path) -> None:
        self.running = running
        self.files = files
        self.address = running.address

    @cached_property
    def workers(self) -> Sequence[int]:
        """Process ids of the workers."""
        children = machine.descendants(self.running.pid)
        return [pid for pid, command in children.items() if "muster_stack.worker" in command]

    def worker_seconds(self) -> float:
        """CPU time of the workers until now."""
        return machine.cpu_seconds(self.workers)

    def store_seconds(self) -> float:
        """CPU time of PostgreSQL and Valkey until now."""
        children = machine.descendants(self.running.pid)
        return machine.cpu_seconds(children.keys() - set(self.workers))

    def url(self, role: str = "postgres", database: str = DATABASE) -> str:
        """The address of a database for a role."""
        secrets = Credentials.read(self.running.state / "credentials.json")
        password = secrets.postgres if role == "postgres" else getattr(secrets, role)
        place = urlencode({"host": str(self.running.state / "run"), "port": 5432})
        return f"postgresql://{role}:{quote(password, safe='')}@/{database}?{place}"

    def redis_url(self) -> str:
        """The address of Valkey."""
        secrets = Credentials.read(self.running.state / "credentials.json")
        socket = self.running.state / "run" / "valkey.sock"
        return f"unix://:{quote(secrets.valkey, safe='')}@{socket}"

    def service_token(self) -> str:
        """A token of an internal service that acts for the organization."""
        return self.running.service_token("bench", organization=ORGANIZATION)

    async def seed(self, session_id: str, *, participants: int, rounds: int) -> Seeded:
        """Make a running session of so many seats with so many open rounds."""
        out = self.files / f"{session_id}.json"
        process = await asyncio.create_subprocess_exec(
            *(MUSTER, "seed", "--state", self.running.state, "--session", session_id),
            *("--participants", str(participants), "--rounds", str(rounds), "--out", out),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SEED_SECONDS):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise NotMeasuredError(f"muster seed: {said.decode(errors='replace').strip()}")
        told = json.loads(out.read_text())
        seats = told["participants"]
        return Seeded(
            session_id=session_id,
            host_ticket=told["host_ticket"],
            round_ids=told["round_ids"],
            participant_ids=[seat["participant_id"] for seat in seats],
            tickets=[seat["ticket"] for seat in seats],
        )


@contextlib.asynccontextmanager
async def new_directory() -> AsyncIterator[Path]:
    """A directory whose path is short enough for sockets in it, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="muster-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.asynccontextmanager
async def muster_up(directory: Path, *, workers: int = 1) -> AsyncIterator[Stack]:
    """Run `muster up` on the state in `directory`/state until the block ends, or this process does."""
    async with started.muster_up(directory / "state", workers=workers) as up:
        yield Stack(up, directory)


@contextlib.asynccontextmanager
async def new_stack(*, workers: int = 1) -> AsyncIterator[Stack]:
    """A stack on empty stores until the block ends."""
    async with new_directory() as directory, muster_up(directory, workers=workers) as stack:
        yield stack
