"""Many watchers on bare sockets, a connection each, which cost so little that they measure the server."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from muster.session.v1 import session_pb2, session_service_pb2

from tests.chaos import http2
from tests.chaos.quiz import Quiz

WATCHERS_A_SEAT: Final = 7
"""A seat may have eight streams open in one process; one is the player's own."""

_WATCH: Final = "/muster.session.v1.SessionService/WatchSession"
_TICK: Final = re.compile(rb"tick-(\d{6})")
_OPEN_AT_ONCE: Final = 50
_SECONDS: Final = 30.0


class Ticker:
    """Makes events that everybody is told, and knows when each was asked for."""

    def __init__(self, quiz: Quiz, *, text: str) -> None:
        """`text` goes with each event, to make it as large as one likes."""
        self.sent: list[float] = []
        self._quiz = quiz
        self._text = text

    async def run(self, *, a_second: float, seconds: float) -> None:
        """Make so many events a second, whatever becomes of the last one."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(a_second * seconds)):
                await asyncio.sleep(start + number / a_second - loop.time())
                tasks.create_task(self._tick())

    async def _tick(self) -> None:
        host = self._quiz.host
        settings = session_pb2.SessionSettings(
            title=f"tick-{len(self.sent):06}",
            description=self._text,
            visibility=session_pb2.SESSION_VISIBILITY_PUBLIC,
            parallel_blocks_allowed=True,
        )
        self.sent.append(time.monotonic())
        await host.call(
            host.sessions.UpdateSession,
            session_service_pb2.UpdateSessionRequest(
                request_id=uuid.uuid4().hex, session_id=self._quiz.session_id, settings=settings
            ),
        )


class _Watcher(asyncio.Protocol):
    """One stream of one connection."""

    def __init__(self, request: bytes, crowd: "Crowd") -> None:
        self._request = request
        self._crowd = crowd
        self._frames = http2.Frames()
        self.began = asyncio.Event()
        self.latest = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(http2.opening() + self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for frame in self._frames.feed(data):
            if answer := http2.answer(frame):
                self.transport.write(answer)
            elif frame.kind == http2.Kind.DATA:
                self.began.set()
                # In a snapshot it stands for all before it.
                for number in map(int, _TICK.findall(frame.payload)):
                    if number > self.latest:
                        self.latest = number
                        self._crowd.note(number, now)

    def connection_lost(self, _: Exception | None) -> None:
        self._crowd.lost += not self._crowd.leaving


class Crowd:
    """All watchers, and how long each tick took to each of them."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._moved = asyncio.Event()
        self.latencies: list[float] = []
        self.watchers: list[_Watcher] = []
        self.lost = 0
        self.leaving = False

    def note(self, number: int, now: float) -> None:
        """A watcher has seen a tick."""
        if number < len(self._ticker.sent):
            self.latencies.append(now - self._ticker.sent[number])
        self._moved.set()

    async def until_seen(self, number: int) -> None:
        """Wait until everybody has seen a tick."""
        async with asyncio.timeout(_SECONDS):
            while any(watcher.latest < number for watcher in self.watchers):
                self._moved.clear()
                await self._moved.wait()


@asynccontextmanager
async def gathered(quiz: Quiz, ticker: Ticker, tokens: Sequence[str], address: str) -> AsyncIterator[Crowd]:
    """A watcher for each token, all of which have their first frame."""
    crowd = Crowd(ticker)
    host, _, port = address.rpartition(":")
    message = session_service_pb2.WatchSessionRequest(session_id=quiz.session_id).SerializeToString()
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(_OPEN_AT_ONCE)

    async def open_one(token: str) -> None:
        request = b"".join(map(bytes, http2.call(_WATCH, message, token)))
        async with places:
            _, watcher = await loop.create_connection(lambda: _Watcher(request, crowd), host, int(port))
            crowd.watchers.append(watcher)
            await watcher.began.wait()

    try:
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*map(open_one, tokens))
        yield crowd
    finally:
        crowd.leaving = True
        for watcher in crowd.watchers:
            watcher.transport.abort()
