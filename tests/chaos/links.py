"""Bad networks: one that breaks off after so many bytes, and one that carries few bytes a second."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from tests.link import CHUNK, SMALL_BUFFER, Link

_LARGE_BUFFER: Final = 1 << 20


class CuttingLink(Link):
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
            while data := await far.read(CHUNK):
                if left is not None and len(data) >= left:
                    near.write(data[:left])
                    self.cuts += 1
                    return
                near.write(data)
                await near.drain()
                left = None if left is None else left - len(data)
        finally:
            self._near.discard(near)


class NarrowLink(Link):
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
            far_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            self._far.add(far_socket)

    async def _bring(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        while data := await far.read(CHUNK if self._bytes_a_second is None else self._bytes_a_second // 10):
            near.write(data)
            await near.drain()
            self.brought += len(data)
            if self._bytes_a_second is not None:
                await asyncio.sleep(len(data) / self._bytes_a_second)
