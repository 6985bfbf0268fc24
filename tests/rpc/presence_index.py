"""An index of presence with a clock that tests turn, and what is asked of it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from muster.presence.v1.presence_pb2 import Presence, ScopeEvent
from muster_presence.model import Profile, Role, ScopeId, ScopeKind, Step, Timing, Verb
from muster_presence.scope_keys import room_of
from muster_presence.scope_log import RedisScopeLog
from muster_presence.store import Interval
from muster_presence.store_redis import RedisPresence
from redis.asyncio import Redis

TIMING = Timing()


class TurnedClock:
    """A clock that only moves when it is told to; each begins a year after the last one.

    All are far ahead of those of services, which sweep what is past.
    """

    _next = datetime(2101, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.time = TurnedClock._next
        # What others left to be swept is long past.
        TurnedClock._next += timedelta(days=365)

    def now(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Place:
    """One scope, its index and its log."""

    redis: Redis
    clock: TurnedClock = field(default_factory=TurnedClock)
    scope: ScopeId = field(default_factory=lambda: ScopeId(uuid.uuid4().hex, ScopeKind.SESSION, "s"))
    facts: list[Interval] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.index = RedisPresence(self.redis, self.clock, TIMING, note=self._note)
        self.log = RedisScopeLog(self.redis, self.clock, TIMING)

    def _note(self, scope: ScopeId, intervals: Sequence[Interval]) -> None:
        if scope == self.scope:
            self.facts.extend(intervals)

    async def do(
        self,
        verb: Verb,
        user_id: str = "ana",
        device_id: str = "phone",
        *,
        role: Role = Role.PARTICIPANT,
        **said: object,
    ) -> None:
        """Let one device do one thing."""
        profile = Profile(user_id.title(), role)
        step = Step(verb=verb, user_id=user_id, device_id=device_id, **{"profile": profile, **said})  # type: ignore[arg-type]
        await self.index.change({self.scope: [step]})

    async def wait(self, seconds: float) -> None:
        """Turn the clock, and sweep."""
        self.clock.turn(seconds)
        while not await self.index.sweep(most_scopes=100):
            pass

    async def here(self, *, with_staff: bool = False) -> list[Presence]:
        """Who is here, in order of coming."""
        page = await self.index.people(self.scope, limit=200, with_staff=with_staff)
        return [Presence.FromString(packed) for _, packed in (page.people if page else ())]

    async def events(self, *, with_staff: bool = False) -> list[ScopeEvent]:
        """All events that are kept."""
        room_id = room_of(self.scope, with_staff=with_staff)
        head = (await self.log.heads([room_id]))[room_id]
        stored = await self.log.read(
            self.scope.organization_id, room_id, epoch=head.epoch, after_seq=0, limit=10_000
        )
        events = [ScopeEvent.FromString(each.payload) for each in stored]
        assert [event.seq for event in events] == list(range(head.first_seq, head.seq + 1))
        return events

    async def told(self, *, with_staff: bool = False) -> list[str]:
        """What kinds of events there were."""
        return [event.WhichOneof("event") or "" for event in await self.events(with_staff=with_staff)]
