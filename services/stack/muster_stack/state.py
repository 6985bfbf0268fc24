"""The state directory: where everything lies, who may use it, and that only one at a time does."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muster_stack.problem import Problem, disk_full, free_bytes

# A socket path holds 107 bytes; the longest name in the directory is ".s.PGSQL.5432" after a slash.
_SOCKET_DIRECTORY_BYTES = 107 - len("/.s.PGSQL.5432")
_FREE_BYTES_NEEDED = 96 * 1024 * 1024


def default_path() -> Path:
    """Where the state lies unless told otherwise.

    Root's is outside its home, which others may not enter: the stores may have to run as nobody.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/muster")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "muster"


@dataclass(frozen=True, slots=True)
class Running:
    """What a running `muster up` tells others about itself."""

    pid: int
    address: str

    @classmethod
    def here(cls, address: str) -> "Running":
        """This process, serving on `address`."""
        return cls(os.getpid(), address)


class State:
    """One state directory, made on first use and private to its user.

    Raises Problem when the directory cannot be made or used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.logs = self.root / "logs"
        self._lock = self.root / "lock"

    def prepare(self) -> None:
        """Make what is missing, and see to it that the disk has room."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in (self.postgres, self.valkey, self.logs):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Problem.from_os_error(error, self.root) from error
        if free_bytes(self.root) < _FREE_BYTES_NEEDED:
            raise Problem(disk_full(self.root))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; a Problem when another `muster up` has it."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Problem.from_os_error(error, self.root) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Problem(self._occupied()) from None
            os.ftruncate(descriptor, 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def announce(self, running: Running) -> None:
        """Tell others, by way of the lock file, that this process serves; call it while `locked`."""
        said = {"pid": running.pid, "address": running.address, "started": _start_time(running.pid)}
        self._lock.write_text(json.dumps(said))

    def running(self) -> Running | None:
        """What the process that holds the lock announced; None when it is still starting, or none is."""
        try:
            said = json.loads(self._lock.read_text())
            running = Running(pid=int(said["pid"]), address=str(said["address"]))
            # One that was killed had no time to take its word back.
            return running if _start_time(running.pid) == said["started"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def sockets(self) -> Path:
        """The directory of the stores' sockets, made when missing.

        Where the path would be too long for a socket, `run` is a link to a short private directory.
        """
        run = self.root / "run"
        try:
            if len(os.fsencode(run)) <= _SOCKET_DIRECTORY_BYTES:
                run.mkdir(mode=0o700, exist_ok=True)
                return run
            return self._short_sockets(run)
        except OSError as error:
            raise Problem.from_os_error(error, self.root) from error

    def remove_sockets(self) -> None:
        """Remove what `sockets` made, once the stores have stopped."""
        run = self.root / "run"
        if run.is_symlink():
            shutil.rmtree(run.readlink(), ignore_errors=True)
            run.unlink()
        else:
            shutil.rmtree(run, ignore_errors=True)

    def _short_sockets(self, run: Path) -> Path:
        if run.is_symlink():
            target = run.readlink()
            # Someone else may have taken the name after the temporary directory was cleaned.
            if target.is_dir() and not target.is_symlink() and target.stat().st_mode & 0o077 == 0:
                return target
            run.unlink()
        target = Path(tempfile.mkdtemp(prefix="muster-"))
        run.symlink_to(target)
        return target

    def _occupied(self) -> str:
        running = self.running()
        whose = f" (process {running.pid}, serving on {running.address})" if running else ""
        return f"Muster is already running on {self.root}{whose}; stop it, or choose another with --state."


def _start_time(pid: int) -> int:
    """When a process was started, in ticks since boot: with the id it names a process for good."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    # Field 22 of proc(5); the first two end with the parenthesis.
    return int(fields[19])
