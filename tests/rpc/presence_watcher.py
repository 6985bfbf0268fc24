"""Someone who watches a scope, and what they hold of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from muster.presence.v1 import presence_service_pb2 as pb

from tests.rpc.house import Metadata
from tests.rpc.presence_guests import Gathering

SECONDS = 10


class Watcher:
    """Someone who watches, and what they hold."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.cursor = b""
        self.here: dict[str, Any] = {}
        self.told: list[str] = []
        self.resets: list[int] = []
        self.snapshots = 0
        self.counts: Any = None
        self.seq = 0

    async def until(self, condition: Any) -> None:
        """Read frames until a condition of this watcher holds."""
        async with asyncio.timeout(SECONDS):
            while not condition(self):
                self.take(await self.call.read())

    def take(self, frame: pb.WatchScopeResponse) -> None:
        self.cursor = frame.cursor or self.cursor
        match frame.WhichOneof("frame"):
            case "snapshot":
                self.here = {one.user_id: one for one in frame.snapshot.people}
                self.snapshots += 1
                self.seq = 0
            case "events":
                for event in frame.events.events:
                    self.happen(event)
            case "view":
                self.counts = frame.view.counts
            case "reset":
                self.resets.append(frame.reset.cause)

    def happen(self, event: Any) -> None:
        assert self.seq in (0, event.seq - 1)
        self.seq = event.seq
        kind = event.WhichOneof("event")
        self.told.append(kind)
        if kind == "entered":
            assert event.entered.presence.user_id not in self.here
            self.here[event.entered.presence.user_id] = event.entered.presence
        elif kind == "updated":
            assert event.updated.presence.user_id in self.here
            self.here[event.updated.presence.user_id] = event.updated.presence
        elif kind == "left":
            del self.here[event.left.user_id]


@asynccontextmanager
async def watching(gathering: Gathering, who: Metadata, **wanted: Any) -> AsyncIterator[Watcher]:
    request = pb.WatchScopeRequest(scope=gathering.scope, **wanted)
    call = gathering.house.presence.WatchScope(request, metadata=who)
    try:
        yield Watcher(call)
    finally:
        call.cancel()
