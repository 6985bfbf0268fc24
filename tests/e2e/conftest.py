"""`muster` as a real process, and what the kernel says about the processes it leaves behind."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import muster_stack.embedded.child as shim
import pytest

from tests.e2e.running import Running, muster_up, untraced_environment

MUSTER = [sys.executable, "-m", "muster_stack"]
_PATIENCE_SECONDS = 60.0


class Up:
    """A `muster up --json` under test."""

    def __init__(
        self, state: Path, *arguments: str, wrapper: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.state = state
        command = [*wrapper, *MUSTER, "up", "--json", "--state", str(state)]
        if "--port" not in arguments:
            command += ["--port", "0"]
        started = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=untraced_environment() | environment,
        )
        # A test that waits for a line which never comes must end, too.
        self._guard = threading.Timer(_PATIENCE_SECONDS, self.process.kill)
        self._guard.start()
        self._started = started
        self.seconds_to_serve = 0.0
        self.serving: dict = {}

    def wait_serving(self) -> "Up":
        self.serving = self.wait_event("serving")
        self.seconds_to_serve = time.monotonic() - self._started
        return self

    @property
    def address(self) -> str:
        return self.serving["address"]

    def wait_event(self, event: str, unit: str | None = None) -> dict:
        for line in self.process.stdout:
            said = json.loads(line)
            if said["event"] == event and unit in (None, said.get("unit")):
                return said
        raise AssertionError(f"no {event}; it said: {self.process.stderr.read()}")

    def send(self, number: int) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def refusal(self) -> str:
        """The one sentence with which it refuses to start."""
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 1, errors
        assert len(errors.splitlines()) == 1, errors
        assert errors.endswith(".\n")
        return errors.strip()

    def close(self) -> None:
        self._guard.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Remains:
    """The processes of a state directory at one moment, and whether they end."""

    def __init__(self, state: Path) -> None:
        self.commands: dict[int, str] = {}
        self._descriptors: list[int] = []
        for pid in _processes_about(state):
            try:
                descriptor = os.pidfd_open(pid)
                self.commands[pid] = _command(pid)
            except OSError:
                continue
            self._descriptors.append(descriptor)

    def pid(self, part: str) -> int:
        """The one process whose command line has `part`."""
        (found,) = [pid for pid, command in self.commands.items() if part in command]
        return found

    def all_end_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        try:
            return all(
                select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
                for descriptor in self._descriptors
            )
        finally:
            for descriptor in self._descriptors:
                os.close(descriptor)


def _processes_about(state: Path) -> list[int]:
    """Every process that names the directory in its command line or environment, or works in it."""
    needle = os.fsencode(state)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            traces = [(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()]
            traces.append(os.fsencode((entry / "cwd").readlink()))
        except OSError:
            continue
        if any(needle in trace for trace in traces):
            found.append(int(entry.name))
    return found


def _command(pid: int) -> str:
    return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture(scope="session")
async def running(short_path: Path) -> AsyncIterator[Running]:
    """A stack with two workers on one port, for all tests that only call it."""
    async with muster_up(short_path / "up", workers=2) as stack:
        yield stack


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory that does not exist yet, in a place that every user may enter."""
    top = Path(tempfile.mkdtemp(prefix="muster-e2e-"))
    top.chmod(0o755)
    yield top / "state"
    assert not Remains(top).commands, "processes left behind"
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def up(state: Path) -> Iterator[Callable[..., Up]]:
    """Starts `muster up` on the state directory, or on another; what still runs is killed in the end."""
    started: list[Up] = []

    def start(*arguments: str, on: Path = state, wrapper: tuple[str, ...] = (), **environment: str) -> Up:
        started.append(Up(on, *arguments, wrapper=wrapper, **environment))
        return started[-1]

    yield start
    remains = [Remains(one.state) for one in started]
    for one in started:
        one.close()
    assert all(remain.all_end_within(20) for remain in remains), "processes left behind"


@pytest.fixture
def remains() -> Callable[[Path], Remains]:
    """The processes of a state directory now."""
    return Remains


@pytest.fixture
def muster() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a `muster` command to its end."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MUSTER, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | environment,
        )

    return run


@pytest.fixture
def shell() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a line as a person would who copied it."""

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def ordinary_user() -> tuple[str, ...]:
    """What to put before a command so that it runs without root."""
    if os.geteuid() != 0:
        return ()
    return (
        sys.executable,
        "-I",
        "-S",
        shim.__file__,
        str(os.getpid()),
        str(int(signal.SIGKILL)),
        "namespace",
    )
