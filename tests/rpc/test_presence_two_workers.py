"""Two workers at once over the same scopes: who comes and goes does so once, whichever of them notices."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from muster_kit.redis_client import open_redis
from muster_presence.model import Profile, Role, ScopeId, ScopeKind, Step, Verb
from muster_presence.store import Interval
from muster_presence.store_redis import SCOPES, RedisPresence
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.presence_index import TIMING, Place, TurnedClock

PEOPLE = [f"u{number}" for number in range(40)]
DEVICES = ("phone", "tv")
VERBS = (Verb.HOLD, Verb.BEAT, Verb.CLOSE, Verb.LEAVE)


class Worker:
    """A process: its index, over a connection of its own, and what it noticed."""

    def __init__(self, name: str, redis: Redis, clock: TurnedClock) -> None:
        self.name = name
        self.noticed: list[tuple[ScopeId, Interval]] = []
        self.index = RedisPresence(redis, clock, TIMING, note=self._note)

    def _note(self, scope: ScopeId, intervals: Sequence[Interval]) -> None:
        self.noticed += [(scope, interval) for interval in intervals]

    async def act(self, scopes: list[ScopeId], dice: random.Random) -> None:
        """Let somebody do something in every scope."""
        await self.index.change({scope: [self._step(dice) for _ in range(3)] for scope in scopes})

    async def sweep(self) -> None:
        """Sweep as processes do, a few scopes at a time."""
        while not await self.index.sweep(most_scopes=2):
            pass

    def _step(self, dice: random.Random) -> Step:
        user_id = dice.choice(PEOPLE)
        return Step(
            verb=dice.choice(VERBS),
            user_id=user_id,
            device_id=dice.choice(DEVICES),
            profile=Profile(user_id, Role.PARTICIPANT),
            holder=self.name,
        )


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def workers(stores: TestStores, clock: TurnedClock) -> AsyncIterator[list[Worker]]:
    async with open_redis(stores.redis_url) as first, open_redis(stores.redis_url) as second:
        yield [Worker("w1", first, clock), Worker("w2", second, clock)]


@pytest.mark.parametrize("seed", range(4))
async def test_what_two_workers_notice_is_what_happened(
    workers: list[Worker], clock: TurnedClock, seed: int
) -> None:
    dice, organization_id = random.Random(seed), uuid.uuid4().hex
    scopes = [ScopeId(organization_id, ScopeKind.SESSION, f"s{number}") for number in range(3)]
    redis = workers[0].index._redis
    for _ in range(30):
        clock.turn(dice.choice([0, 1, 6, 20]))
        await asyncio.gather(*(worker.act(scopes, dice) for worker in workers for _ in range(2)))
        await asyncio.gather(*(worker.sweep() for worker in workers))
    # All vanish, and both find it at the same moment.
    for _ in range(3):
        clock.turn(100)
        await asyncio.gather(*(worker.sweep() for worker in workers))
    noticed = [each for worker in workers for each in worker.noticed]
    for scope in scopes:
        told: Counter[tuple[str, str]] = Counter()
        here: set[str] = set()
        for event in await Place(redis, clock, scope).events():
            match event.WhichOneof("event"):
                case "entered":
                    user_id = event.entered.presence.user_id
                    assert user_id not in here
                    here.add(user_id)
                    told[user_id, "entered"] += 1
                case "left":
                    here.remove(event.left.user_id)
                    told[event.left.user_id, "left"] += 1
        assert not here
        facts = Counter(
            (interval.user_id, "left" if interval.leave_ms else "entered")
            for where, interval in noticed
            if where == scope
        )
        assert facts == told
        assert told.total() > 20
        assert await redis.zscore(SCOPES, scope.key) is None
