"""A TCP proxy that keeps every byte a server sends to the clients behind it."""

import asyncio
from types import TracebackType
from typing import Self


class RecordingProxy:
    """Forwards connections to `address`; `received` is what the server sent, a buffer a connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.received: list[bytearray] = []

    @property
    def address(self) -> str:
        """Where clients connect."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def holds(self, needle: bytes) -> bool:
        """Whether the server sent `needle` on any connection."""
        return any(needle in buffer for buffer in self.received)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, upstream_writer]
        buffer = bytearray()
        self.received.append(buffer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(reader, upstream_writer, None))
            tasks.create_task(_pump(upstream_reader, writer, buffer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray | None) -> None:
    try:
        while data := await reader.read(65536):
            if copy is not None:
                copy += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
