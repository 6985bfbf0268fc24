"""Bad networks: one that breaks off after so many bytes, and one that carries few bytes a second."""

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65536
# The least that Linux gives: what waits on the way is not to hide that the way is narrow.
_SMALL_BUFFER: Final = 2304
_LARGE_BUFFER: Final = 1 << 20


class _Link(ABC):
    """Carries connections to `target` while entered."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._carrying: set[asyncio.Task[None]] = set()
        self.address = ""
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _connect(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            with socket.socket() as far_socket:
                self._prepare(far_socket)
                far_socket.setblocking(False)
                await asyncio.get_running_loop().sock_connect(far_socket, (self._host, self._port))
                # A duplicate, as what asyncio makes of a socket it also closes.
                far_reader, far = await asyncio.open_connection(sock=far_socket.dup(), limit=_SMALL_BUFFER)
                await self._carry(near_reader, near, far_reader, far)
        except (ConnectionError, asyncio.CancelledError):
            # A cancelled callback of a server is one that ends.
            pass
        finally:
            self._carrying.discard(task)
            near.close()

    async def _carry(
        self,
        near_reader: asyncio.StreamReader,
        near: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
    ) -> None:
        """Carry both ways until either ends."""
        ways = [
            asyncio.create_task(_forward(near_reader, far)),
            asyncio.create_task(self._bring(far_reader, near)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First, as what follows may be cancelled.
            far.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _prepare(self, far_socket: socket.socket) -> None:  # noqa: B027 - most need nothing
        """Set what the socket to the server needs before it connects."""

    @abstractmethod
    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Carry what the server sends to the client."""


class CuttingLink(_Link):
    """Breaks off each connection after as many bytes of the server as `lasts` draws for it; None: never.

    Once healed, it never does.
    """

    def __init__(self, target: str, lasts: Callable[[], int | None]) -> None:
        super().__init__(target)
        self._lasts = lasts
        self._near: set[asyncio.StreamWriter] = set()
        self.cuts = 0
        self.healed = False

    def heal(self) -> None:
        """Cut what is connected now, and nothing after it."""
        self.cut()
        self.healed = True

    def cut(self) -> None:
        """Break off what is connected now."""
        self.cuts += bool(self._near)
        for near in self._near:
            near.transport.abort()

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        left = None if self.healed else self._lasts()
        self._near.add(near)
        try:
            while data := await far.read(_CHUNK):
                if left is not None and len(data) >= left:
                    near.write(data[:left])
                    self.cuts += 1
                    return
                near.write(data)
                await near.drain()
                left = None if left is None else left - len(data)
        finally:
            self._near.discard(near)


class NarrowLink(_Link):
    """Brings so many bytes of the server a second, until it is widened."""

    def __init__(self, target: str, bytes_a_second: int) -> None:
        super().__init__(target)
        self._bytes_a_second: int | None = bytes_a_second
        self._far: set[socket.socket] = set()
        self.brought = 0

    def widen(self) -> None:
        """Bring everything at once from now on."""
        self._bytes_a_second = None
        for far_socket in self._far:
            # Some are closed by now.
            with contextlib.suppress(OSError):
                far_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LARGE_BUFFER)

    def _prepare(self, far_socket: socket.socket) -> None:
        if self._bytes_a_second is not None:
            far_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            self._far.add(far_socket)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        while data := await far.read(_CHUNK if self._bytes_a_second is None else self._bytes_a_second // 10):
            near.write(data)
            await near.drain()
            self.brought += len(data)
            if self._bytes_a_second is not None:
                await asyncio.sleep(len(data) / self._bytes_a_second)


async def _forward(near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await near.read(_CHUNK):
            far.write(data)
            await far.drain()
