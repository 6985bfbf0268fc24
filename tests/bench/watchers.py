"""Many watch streams of a session, and events for them to see."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from muster.session.v1 import session_service_pb2
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub

from tests.bench.generator import Generator, Load
from tests.bench.open_streams import OpenStreams, opened
from tests.bench.stack import Seeded, Stack

_METHOD = "/muster.session.v1.SessionService/WatchSession"
_AFTER_FIELD = session_service_pb2.WatchSessionRequest.DESCRIPTOR.fields_by_name["after"].number
_MARKER = "tick-"


@dataclass(frozen=True, slots=True)
class Tick:
    """One event, in Unix seconds: when its command was sent and answered, and when the watchers saw it."""

    sent: float
    answered: float
    first: float
    last: float


class Watchers:
    """The streams of one session, and its host."""

    def __init__(self, streams: OpenStreams, channel: Any, seeded: Seeded) -> None:
        self.wait_until_ready = streams.wait_until_ready
        self.seen = streams.seen
        self.drop = streams.drop
        self.come_back = streams.come_back
        self.check = streams.check
        self._sessions: Any = SessionServiceStub(channel)
        self._host = (("authorization", f"Bearer {seeded.host_ticket}"),)
        self._seeded = seeded
        self._settings: Any = None
        self._count = 0

    async def tick(self) -> Tick:
        """Make an event and wait until all watchers have seen it."""
        sent = time.time()
        number = await self.make_event()
        answered = time.time()
        first, last = await self.seen(number)
        return Tick(sent, answered, first, last)

    async def make_event(self) -> int:
        """Give the session a new title, which everybody is told; returns the event's number."""
        self._count += 1
        session_id = self._seeded.session_id
        if self._settings is None:
            asked = session_service_pb2.GetSessionRequest(session_id=session_id)
            self._settings = (await self._sessions.GetSession(asked, metadata=self._host)).session.settings
        self._settings.title = f"{_MARKER}{self._count:06}"
        request = session_service_pb2.UpdateSessionRequest(session_id=session_id, settings=self._settings)
        await self._sessions.UpdateSession(request, metadata=self._host, timeout=30)
        return self._count


@contextlib.asynccontextmanager
async def watching(
    generator: Generator, stack: Stack, seeded: Seeded, *, streams: int, connections: int
) -> AsyncIterator[Watchers]:
    """Open so many streams of a session, the seats in turns, and close them when the block ends."""
    request = session_service_pb2.WatchSessionRequest(session_id=seeded.session_id).SerializeToString()
    calls = [(number % len(seeded.tickets), request) for number in range(streams)]
    load = Load(_METHOD, seeded.tickets, calls)
    streams_open = opened(
        *(generator, stack.address, load),
        connections=connections,
        after_field=_AFTER_FIELD,
        marker=_MARKER,
    )
    async with (
        streams_open as open_streams,
        grpc.aio.insecure_channel(stack.address) as channel,
    ):
        yield Watchers(open_streams, channel, seeded)
