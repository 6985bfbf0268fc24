"""A relay between a client and a server that can stop carrying, as a phone without a network does."""

import asyncio

from tests.link import CHUNK, Link


class Relay(Link):
    """Carries connections to `target` while entered, until `cut`."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._is_carrying = asyncio.Event()
        self._is_carrying.set()

    def cut(self) -> None:
        """Carry nothing more, either way, but keep the connections open."""
        self._is_carrying.clear()

    async def _send(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        await self._forward(near, far)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        await self._forward(far, near)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._is_carrying.wait()
            sink.write(data)
