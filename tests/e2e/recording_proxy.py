"""A TCP proxy that keeps every byte a server sends to the clients behind it."""

import asyncio

from tests.link import CHUNK, Link


class RecordingProxy(Link):
    """Carries connections to `target`; `received` is what the server sent, a buffer a connection."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.received: list[bytearray] = []

    def holds(self, needle: bytes) -> bool:
        """Whether the server sent `needle` on any connection."""
        return any(needle in buffer for buffer in self.received)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        buffer = bytearray()
        self.received.append(buffer)
        while data := await far.read(CHUNK):
            buffer += data
            near.write(data)
            await near.drain()
