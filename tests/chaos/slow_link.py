"""A link that takes its time: all that is sent arrives, in order, half a round trip later."""

import asyncio

from tests.link import CHUNK, Link


class SlowLink(Link):
    """Carries connections to `target` while entered, with a round trip of so many seconds."""

    def __init__(self, target: str, round_trip_seconds: float) -> None:
        super().__init__(target)
        self._delay_seconds = round_trip_seconds / 2

    async def _send(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        await self._delay(near, far)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        await self._delay(far, near)

    async def _delay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await on_its_way.get()
                await asyncio.sleep(due - loop.time())
                if not data:
                    return
                sink.write(data)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(arrive())
            data = b"unread"
            while data:
                data = await _read(source)
                on_its_way.put_nowait((loop.time() + self._delay_seconds, data))


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(CHUNK)
    except ConnectionError:
        return b""
