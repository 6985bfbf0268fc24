"""A link that takes its time: all that is sent arrives, in order, half a round trip later."""

import asyncio
from types import TracebackType
from typing import Self


class SlowLink:
    """Carries connections to `target` while entered, with a round trip of so many seconds."""

    def __init__(self, target: str, round_trip_seconds: float) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._delay_seconds = round_trip_seconds / 2
        self._carrying: set[asyncio.Task[None]] = set()
        self.address = ""

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

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await on_its_way.get()
                await asyncio.sleep(due - loop.time())
                sink.write(data)
                if not data:
                    return

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(arrive())
                data = b"unread"
                while data:
                    data = await _read(source)
                    on_its_way.put_nowait((loop.time() + self._delay_seconds, data))
        finally:
            sink.close()


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(65536)
    except ConnectionError:
        return b""
