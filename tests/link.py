"""A TCP link between a client and a server, for networks that do what they like."""

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 65536
# The least that Linux gives: what waits on the way is not to hide what the way is like.
SMALL_BUFFER: Final = 2304


class Link:
    """Carries connections to `target` while entered; what it does to them is for its kinds to say.

    Whatever becomes of a connection, nothing of it is open afterwards.
    """

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
                far_reader, far = await asyncio.open_connection(sock=far_socket.dup(), limit=SMALL_BUFFER)
                await self._carry(near_reader, near, far_reader, far)
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            # A cancelled callback of a server is one that ends.
            near.transport.abort()
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
            asyncio.create_task(self._send(near_reader, far)),
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

    def _prepare(self, far_socket: socket.socket) -> None:
        """Set what the socket to the server needs before it connects: nothing, for most."""

    async def _send(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        """Carry what the client sends to the server, until it ends."""
        await forward(near, far)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Carry what the server sends to the client, until it ends."""
        await forward(far, near)


async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry everything at once, until the source ends or the connection breaks."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
