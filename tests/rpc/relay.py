"""A relay between a client and a server that can stop carrying, as a phone without a network does."""

import asyncio
from typing import Self


class Relay:
    """Carries connections to `target` while entered, until `cut`."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.partition(":")
        self._port = int(port)
        self._carrying = asyncio.Event()
        self._carrying.set()
        self._tasks = asyncio.TaskGroup()
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self._carrying.set()
        await self._tasks.__aexit__(*error)

    def cut(self) -> None:
        """Carry nothing more, either way, but keep the connections open."""
        self._carrying.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._tasks.create_task(self._carry(reader, far_writer))
        self._tasks.create_task(self._carry(far_reader, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._carrying.wait()
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()
