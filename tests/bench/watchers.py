"""Many watch streams of a session in the generator's process, and events for them to see."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from muster.session.v1 import session_service_pb2
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub

from tests.bench.generator import Generator, Load, environment, require_no_failures
from tests.bench.stack import NotMeasuredError, Seeded, Stack

_METHOD = "/muster.session.v1.SessionService/WatchSession"
_AFTER_FIELD = session_service_pb2.WatchSessionRequest.DESCRIPTOR.fields_by_name["after"].number
_MARKER = "tick-"
_NANO = 1e-9
_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Tick:
    """One event, in Unix seconds: when its command was sent and answered, and when the watchers saw it."""

    sent: float
    answered: float
    first: float
    last: float


class Watchers:
    """The streams of one generator process."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Any, seeded: Seeded) -> None:
        self._process = process
        self._sessions: Any = SessionServiceStub(channel)
        self._host = (("authorization", f"Bearer {seeded.host_ticket}"),)
        self._seeded = seeded
        self._settings: Any = None
        self._count = 0

    async def wait_until_ready(self) -> float:
        """Wait until every stream has a frame; returns the seconds since the first was opened."""
        return float((await self._told("ready"))["seconds"])

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

    async def seen(self, number: int) -> tuple[float, float]:
        """Wait until all watchers have seen an event; returns when the first and the last had it."""
        while int((told := await self._told("tick"))["number"]) < number:
            pass
        return told["first"] * _NANO, told["last"] * _NANO

    async def drop(self) -> None:
        """Cut all connections."""
        await self._say("drop")
        await self._told("dropped")

    async def come_back(self) -> None:
        """Open all streams again, each with its cursor."""
        await self._say("return")

    async def check(self) -> None:
        """Raise NotMeasuredError when a stream failed or saw an event twice."""
        await self._say("report")
        told = await self._told("report")
        require_no_failures(told)
        if told["doubles"]:
            raise NotMeasuredError(f"{told['doubles']} events came twice.")

    async def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def _told(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while line := await self._process.stdout.readline():
                    told: dict[str, Any] = json.loads(line)
                    if told["event"] == event:
                        return told
        except TimeoutError:
            raise NotMeasuredError(f"{event!r} did not come within {_WAIT_SECONDS:.0f} s.") from None
        raise NotMeasuredError(f"The generator ended before {event!r}.")


@contextlib.asynccontextmanager
async def watching(
    generator: Generator, stack: Stack, seeded: Seeded, *, streams: int, connections: int
) -> AsyncIterator[Watchers]:
    """Open so many streams of a session, the seats in turns, and close them when the block ends."""
    request = session_service_pb2.WatchSessionRequest(session_id=seeded.session_id).SerializeToString()
    calls = [(number % len(seeded.tickets), request) for number in range(streams)]
    arguments = generator.arguments(
        "watch",
        stack.address,
        Load(_METHOD, seeded.tickets, calls),
        connections=connections,
        after_field=_AFTER_FIELD,
        marker=_MARKER,
    )
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        async with grpc.aio.insecure_channel(stack.address) as channel:
            yield Watchers(process, channel, seeded)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
