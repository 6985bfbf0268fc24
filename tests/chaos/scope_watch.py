"""Who is in a session as a client sees it: folded from the events of its watch, over all its streams."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.presence.v1.scope_pb2 import SCOPE_KIND_SESSION, Scope

from tests.chaos.history import History
from tests.chaos.people import Person

_PATIENCE_SECONDS: Final = 30.0


class ScopeWatch:
    """One person's watch of who is in a session."""

    def __init__(self, person: Person, session_id: str) -> None:
        self.history = History(f"{person.name}'s list")
        self.here: dict[str, Any] = {}
        self.goings: Counter[str] = Counter()
        """How often each was seen to go."""
        self._person = person
        self._presence: Any = PresenceServiceStub(person.channel)
        self._scope = Scope(kind=SCOPE_KIND_SESSION, scope_id=session_id)
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Keep it up to date until cancelled."""
        async for frame in self._person.watch(self._open, self.history):
            async with self._moved:
                if frame.HasField("reset"):
                    self.here = {}
                elif frame.HasField("snapshot"):
                    self.here = {person.user_id: person for person in frame.snapshot.people}
                for event in frame.events.events:
                    self._apply(event)
                self._moved.notify_all()

    async def until_here(self, user_ids: Collection[str], *, resets: int) -> None:
        """Wait until it shows exactly these, having been told to start over so many times."""
        wanted = set(user_ids)
        try:
            await self._until(lambda: self.history.count("reset") >= resets and self.here.keys() == wanted)
        except TimeoutError:
            # What it shows instead is what one wants to see.
            assert (self.history.count("reset"), set(self.here)) == (resets, wanted)

    async def until_gone(self, user_id: str) -> None:
        """Wait until someone is not shown any more."""
        await self._until(lambda: user_id not in self.here)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS), self._moved:
            await self._moved.wait_for(condition)

    def _open(self, after: bytes) -> Any:
        request = presence_service_pb2.WatchScopeRequest(scope=self._scope, after=after)
        return self._presence.WatchScope(request, metadata=self._person.metadata)

    def _apply(self, event: Any) -> None:
        match event.WhichOneof("event"):
            case "entered" | "updated" as kind:
                person = getattr(event, kind).presence
                self.here[person.user_id] = person
            case "left":
                self.goings[event.left.user_id] += 1
                self.here.pop(event.left.user_id, None)
