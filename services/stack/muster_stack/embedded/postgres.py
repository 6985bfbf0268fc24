"""The embedded PostgreSQL: made by initdb on first use, then run as a direct child."""

import shutil
import signal
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg

from muster_stack.embedded.catalog import Catalog
from muster_stack.embedded.daemon import Daemon, Launch
from muster_stack.embedded.log import Log
from muster_stack.embedded.site import Site
from muster_stack.problem import Problem, disk_full

SUPERUSER = "postgres"
_PORT = 5432
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    # What was acknowledged survives a crash of the machine.
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    # Short statements only; compiling them costs more than it saves.
    "jit": "off",
    # Workers of parallel queries need /dev/shm, which containers keep at 64 MB.
    "max_parallel_workers_per_gather": "0",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Above ERROR: refused duplicates are ordinary here, and statements hold what people wrote.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class Postgres:
    """One PostgreSQL cluster in `home`/data, reached through a socket.

    Starting fails with a Problem when the cluster is another major version's.
    """

    name = "PostgreSQL"

    def __init__(self, *, home: Path, log: Log, password: str, site: Site) -> None:
        self._home = home
        self._data = home / "data"
        self._password = password
        self._site = site
        self._identity = site.identity
        self._sockets = site.sockets
        self._daemon = Daemon(self.name, lock=home.with_suffix(".lock"), log=log)

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster while it runs."""
        return self._daemon.pid

    def url(self, role: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """The address of a database for a role."""
        secret = quote(self._password if password is None else password, safe="")
        place = urlencode({"host": str(self._sockets), "port": _PORT})
        return f"postgresql://{quote(role, safe='')}:{secret}@/{quote(database, safe='')}?{place}"

    async def start(self) -> None:
        """Start, after making the cluster when there is none, and return once it answers a query."""
        try:
            if not self._data.exists():
                await self._initialize()
            self._check_major()
            self._identity.take(self._home)
        except OSError as error:
            raise Problem.from_os_error(error, self._home) from error
        settings = _SETTINGS | {"unix_socket_directories": str(self._sockets)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        launch = Launch(
            [self._site.programs.postgres, "-D", self._data, *options],
            self._identity,
            # Fast shutdown: even when this process is killed, the cluster is left clean.
            signal.SIGINT,
            _ENVIRONMENT,
        )
        await self._daemon.start(launch, clear=self._clear_stale, answers=self._answers)

    async def wait(self) -> int:
        """Wait for the end of the postmaster and return its exit code."""
        return await self._daemon.wait()

    async def stop(self) -> None:
        """Stop cleanly: fast shutdown first, immediate shutdown when that takes too long."""
        await self._daemon.stop((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))

    def kill(self) -> None:
        """Kill the postmaster as a crash would."""
        self._daemon.send(signal.SIGKILL)

    def catalog(self) -> Catalog:
        """Its databases, to be looked at while it runs."""
        return Catalog(self.url(), self._home)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url(), timeout=5)
            try:
                return bool(await connection.fetchval("SELECT 1", timeout=5) == 1)
            finally:
                connection.terminate()
        except asyncpg.InvalidPasswordError:
            raise Problem(f"The password of {self._data} is not the one in the credentials file.") from None
        except asyncpg.TooManyConnectionsError:
            # It is busy, not away.
            return True
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def _initialize(self) -> None:
        """Make the cluster aside and move it into place, so that a half-made one is never used."""
        fresh = self._home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password_file = self._home / "password"
        password_file.write_text(self._password)
        password_file.chmod(0o600)
        self._identity.take(self._home)
        for path in (fresh, password_file):
            self._identity.give(path)
        try:
            await self._run_initdb(fresh, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        fresh.rename(self._data)

    async def _run_initdb(self, directory: Path, password_file: Path) -> None:
        arguments: list[str | Path] = [
            self._site.programs.initdb,
            "--pgdata", directory,
            "--username", SUPERUSER,
            "--pwfile", password_file,
            "--auth", "scram-sha-256",
            "--encoding", "UTF8",
            "--locale", "C",
            # Code point order as in C, and letters of every language for lower(); no ICU, no libc.
            "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8",
            "--no-instructions",
        ]  # fmt: skip
        launch = Launch(arguments, self._identity, signal.SIGKILL, _ENVIRONMENT)
        code, output = await self._daemon.run_alone(launch)
        if code != 0:
            shutil.rmtree(directory, ignore_errors=True)
            raise Problem(self._refusal(output))

    def _refusal(self, output: str) -> str:
        if "No space left on device" in output:
            return disk_full(self._home)
        errors = [line for line in output.splitlines() if "rror" in line or "FATAL" in line]
        said = (errors or output.splitlines() or ["it left no message"])[0].strip().rstrip(".")
        return f"PostgreSQL's data directory cannot be made: {said}."

    def _check_major(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        ours = self._site.postgres_version.split(".", 1)[0]
        if made_by != ours:
            raise Problem(
                f"{self._data} was made by PostgreSQL {made_by}, and this is PostgreSQL {ours}: export it "
                f"with version {made_by}, or choose another directory with --state."
            )

    def _clear_stale(self) -> None:
        """Remove what a killed postmaster left, so that a reused process id is not taken for it."""
        holder = self._data / "postmaster.pid"
        if holder.exists():
            pid = holder.read_text().split("\n", 1)[0].strip()
            if _is_postmaster_of(self._data, pid):
                raise Problem(f"Another PostgreSQL (process {pid}) runs on {self._data}; stop it first.")
            holder.unlink()
        for stale in self._sockets.glob(".s.PGSQL.*"):
            stale.unlink()


def _is_postmaster_of(data: Path, pid: str) -> bool:
    try:
        command = Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False
    return str(data).encode() in command.split(b"\0")
