"""Inboxes as people and services have them: streams that are read, and what is put there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.inbox_pb2 import CustomNotice, InboxEvent

from tests.rpc.house import House, Metadata
from tests.rpc.presence_guests import Gathering

SECONDS = 20


@dataclass(slots=True)
class Listener:
    """One open stream, and what it has brought so far."""

    call: Any
    frames: list[Any] = field(default_factory=list)
    cursor: bytes = b""

    async def read(self) -> Any:
        """Return the next frame."""
        async with asyncio.timeout(SECONDS):
            frame = await self.call.read()
        assert frame, "the stream has ended"
        self.frames.append(frame)
        self.cursor = frame.cursor or self.cursor
        return frame

    async def until(self, kind: str) -> Any:
        """Read on to the next frame of a kind."""
        while (frame := await self.read()).WhichOneof("frame") != kind:
            pass
        return getattr(frame, kind)

    async def events(self, count: int) -> list[InboxEvent]:
        """Return the next events, so many of them."""
        events: list[InboxEvent] = []
        while len(events) < count:
            events += (await self.until("events")).events
        assert len(events) == count
        return events


@asynccontextmanager
async def listening(
    house: House, who: Metadata, *, device_id: str = "phone", begins: bool = True, **said: Any
) -> AsyncIterator[Listener]:
    """Have a stream open; given once the lease is there, unless it is to be read from its beginning."""
    request = pb.ConnectRequest(device_id=device_id, **said)
    listener = Listener(house.presence.Connect(request, metadata=who))
    try:
        if begins:
            await listener.until("view")
        yield listener
    finally:
        listener.call.cancel()


async def notify(gathering: Gathering, *user_ids: str, kind: str = "note", **fields: Any) -> int:
    """Put something into inboxes, as a service; return into how many."""
    if not {"start", "invitation"} & fields.keys():
        fields["custom"] = CustomNotice(kind=kind)
    request = pb.NotifyRequest(organization_id=gathering.organization, user_ids=user_ids, **fields)
    reply = await gathering.house.presence.Notify(request, metadata=gathering.service)
    count: int = reply.inbox_count
    return count


async def caught_up(
    gathering: Gathering, who: Metadata, *, after: bytes = b"", house: House | None = None
) -> Listener:
    """Read all that there is up to now."""
    request = pb.ConnectRequest(device_id="reader", after=after, replay_only=True)
    listener = Listener((house or gathering.house).presence.Connect(request, metadata=who))
    async with asyncio.timeout(SECONDS):
        async for frame in listener.call:
            listener.frames.append(frame)
            listener.cursor = frame.cursor or listener.cursor
    return listener


def kinds_of(events: list[InboxEvent]) -> list[str]:
    """Return what kinds of custom notices events are."""
    return [event.custom.kind for event in events]


def events_of(listener: Listener) -> list[InboxEvent]:
    """Return the events that a stream has brought."""
    return [event for frame in listener.frames for event in frame.events.events]


async def waiting_for(gathering: Gathering, who: Metadata) -> Any:
    """Return what waits for somebody, as of now."""
    # One frame alone has to be of now: no events follow that would make it so.
    request = pb.ConnectRequest(device_id="reader", replay_only=True, max_frames=1)
    (frame,) = [each async for each in gathering.house.presence.Connect(request, metadata=who)]
    return frame.snapshot
