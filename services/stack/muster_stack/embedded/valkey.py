"""The embedded Valkey: append-only file on, password required, run as a direct child."""

import asyncio
import signal
from pathlib import Path
from urllib.parse import quote

from muster_stack.embedded.daemon import Daemon, Launch
from muster_stack.embedded.log import Log
from muster_stack.embedded.site import Site
from muster_stack.problem import Problem

_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
_CONFIGURATION = """\
{network}
unixsocket {socket}
unixsocketperm 700
dir {data}
requirepass {password}
daemonize no
always-show-logo no
databases 16
maxmemory-policy noeviction
save ""
appendonly yes
# At most a second is lost when the machine crashes; nothing acknowledged lives here alone.
appendfsync everysec
"""


class Valkey:
    """One Valkey in `home`/data, reached through a socket named after `home`.

    `network` are lines of its configuration: where else it is reached, and whether it is one of a cluster.
    """

    name = "Valkey"

    def __init__(self, *, home: Path, log: Log, password: str, site: Site, network: str = "port 0") -> None:
        self._home = home
        self._data = home / "data"
        self._socket = site.sockets / f"{home.name}.sock"
        self._network = network
        self._password = password
        self._program = site.programs.valkey
        self._identity = site.identity
        self._daemon = Daemon(self.name, lock=home.with_suffix(".lock"), log=log)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._daemon.pid

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"unix://:{quote(self._password, safe='')}@{self._socket}?db=0"

    async def start(self) -> None:
        """Start it and return once it answers PING, its append-only file loaded."""
        configuration = self._home / "valkey.conf"
        try:
            self._configure(configuration)
        except OSError as error:
            raise Problem.from_os_error(error, self._home) from error
        # Told to end, it writes what is buffered and goes at once.
        launch = Launch([self._program, configuration], self._identity, signal.SIGTERM, _ENVIRONMENT)
        await self._daemon.start(launch, clear=self._clear_stale, answers=self._answers)

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return await self._daemon.wait()

    async def stop(self) -> None:
        """Stop it cleanly."""
        await self._daemon.stop((signal.SIGTERM, 10.0))

    def kill(self) -> None:
        """Kill it as a crash would."""
        self._daemon.send(signal.SIGKILL)

    def _configure(self, file: Path) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        # The password is in a file because everyone can read a command line.
        file.touch(mode=0o600)
        configuration = _CONFIGURATION.format(
            network=self._network, socket=self._socket, data=self._data, password=self._password
        )
        file.write_text(configuration)
        self._identity.take(self._home)
        for path in (self._data, file):
            self._identity.give(path)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                try:
                    writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                    replies = [await reader.readline(), await reader.readline()]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        return replies == [b"+OK\r\n", b"+PONG\r\n"]

    def _clear_stale(self) -> None:
        self._socket.unlink(missing_ok=True)
