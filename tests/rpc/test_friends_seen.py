"""What friends see changes with a call and never without: over any story, what was called is what changed."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from muster.presence.v1.presence_pb2 import Presence
from muster_kit.redis_client import open_redis
from muster_kit.streams.publisher import channel_of
from muster_presence.model import Activity, Profile, Role, ScopeId, ScopeKind, Step, Verb
from muster_presence.scope_keys import bell_room
from muster_presence.store_redis_friends import RedisFriendPresence
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.one_server import of_one_server
from tests.rpc.presence_index import TIMING, Place

PEOPLE = ("ana", "bo")
DEVICES = ("phone", "tv")


class Onlookers:
    """Friends of everybody, who look only at those they are called for."""

    def __init__(self, redis: Redis, place: Place) -> None:
        self.organization = place.scope.organization_id
        self.presence = RedisFriendPresence(redis, place.clock, TIMING)
        self.pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self.held: dict[str, bytes] = {}
        self.calls = 0

    async def listen(self) -> None:
        await self.pubsub.subscribe(channel_of("presence", bell_room(self.organization)))
        # Until it is confirmed.
        await self.pubsub.get_message(timeout=5)

    async def look(self) -> set[str]:
        """Look at those who were called; return who that was."""
        called: set[str] = set()
        async with asyncio.timeout(5):
            await self.pubsub.ping()
            while (message := await self.pubsub.get_message(timeout=1)) is None or message["type"] != "pong":
                if message is not None:
                    assert message["data"][:2] == b"\2p"
                    called |= {each.decode() for each in message["data"][2:].split(b"\0")}
        for user_id in called:
            self.held.pop(user_id, None)
        self.held |= await self.seen(called)
        return called

    async def seen(self, user_ids: Any) -> dict[str, bytes]:
        looks = await self.presence.seen(self.organization, sorted(user_ids))
        return {user_id: look.shown for user_id, look in looks.items()}


def a_step(dice: random.Random) -> Step:
    verb = dice.choice([Verb.BEAT, Verb.BEAT, Verb.TOUCH, Verb.HOLD, Verb.CLOSE, Verb.LEAVE])
    activity = None
    if dice.random() < 0.6:
        shared, friendly = dice.choice([(True, False), (False, True), (True, True)])
        kind = dice.choice(["squats", "chess"])
        packed = f"\n{chr(len(kind))}{kind}".encode()
        activity = Activity(kind, "", packed, is_shared=shared, for_friends=friendly)
    user_id = dice.choice(PEOPLE)
    role = dice.choice([Role.PARTICIPANT, Role.PARTICIPANT, Role.STAFF])
    return Step(
        verb=verb,
        user_id=user_id,
        device_id=dice.choice(DEVICES),
        is_away=dice.random() < 0.3,
        profile=None if verb is Verb.TOUCH else Profile(user_id.title(), role),
        activity=activity,
        keeps_activity=dice.random() < 0.3,
        holder="worker",
    )


@pytest.mark.parametrize("seed", range(12))
@of_one_server
async def test_whoever_looks_when_called_has_seen_everything(stores: TestStores, seed: int) -> None:
    dice = random.Random(seed)
    async with open_redis(stores.redis_url) as redis:
        place = Place(redis)
        home = ScopeId(place.scope.organization_id, ScopeKind.ORGANIZATION)
        scopes = [home, place.scope, replace(place.scope, kind=ScopeKind.WORKOUT)]
        onlookers = Onlookers(redis, place)
        await onlookers.listen()
        for _ in range(80):
            if dice.random() < 0.15:
                await place.wait(dice.choice([1, 6, 31, 40]))
            else:
                await place.index.change({dice.choice(scopes): [a_step(dice)]})
            await onlookers.look()
            assert onlookers.held == await onlookers.seen(PEOPLE)
        await onlookers.pubsub.aclose()


async def test_nobody_is_called_for_what_friends_do_not_see(stores: TestStores) -> None:
    async with open_redis(stores.redis_url) as redis:
        place = Place(redis)
        onlookers = Onlookers(redis, place)
        await onlookers.listen()
        for kind in ("chess", "go"):
            await place.do(Verb.BEAT, activity=Activity(kind, "", b""))
        await place.do(Verb.BEAT, is_away=True, keeps_activity=True)
        await place.do(Verb.LEAVE)
        assert await onlookers.look() == set()
        friendly = Activity("go", "", b"", is_shared=False, for_friends=True)
        await place.do(Verb.BEAT, activity=friendly)
        assert await onlookers.look() == {"ana"}
        await place.do(Verb.BEAT, activity=friendly)
        assert await onlookers.look() == set()
        await onlookers.pubsub.aclose()


async def test_the_newest_of_several_rooms_is_seen_and_the_best_state(stores: TestStores) -> None:
    async with open_redis(stores.redis_url) as redis:
        place = Place(redis)
        home = Place(redis, place.clock, ScopeId(place.scope.organization_id, ScopeKind.ORGANIZATION))
        presence = RedisFriendPresence(redis, place.clock, TIMING)

        async def seen() -> Presence:
            looks = await presence.seen(place.scope.organization_id, ["ana"])
            return Presence.FromString(looks["ana"].presence)

        first = Activity("go", "", b"\n\x02go")
        await home.do(Verb.BEAT, is_away=True, activity=first)
        assert (await seen()).activity.kind == "go"
        place.clock.turn(1)
        chess = Activity("chess", "", b"\n\x05chess", for_friends=True)
        await place.do(Verb.BEAT, activity=chess, role=Role.STAFF)
        ana = await seen()
        assert (ana.activity.kind, ana.state, ana.role) == ("chess", 1, Role.PARTICIPANT)
        place.clock.turn(1)
        await home.do(Verb.BEAT, is_away=True, activity=Activity("tea", "", b"\n\x03tea"))
        assert (await seen()).activity.kind == "tea"


async def test_who_is_called_finds_them_where_they_have_just_come(stores: TestStores) -> None:
    async with open_redis(stores.redis_url) as redis, open_redis(stores.redis_url) as elsewhere:
        place = Place(redis)
        onlookers = Onlookers(elsewhere, place)
        await onlookers.listen()
        people = [f"u{number}" for number in range(50)]

        async def come() -> None:
            for user_id in people:
                await place.do(Verb.HOLD, user_id, activity=Activity("go", "", b"", for_friends=True))

        async with asyncio.TaskGroup() as tasks:
            coming = tasks.create_task(come())
            # Those who are called look at once, while others come.
            while not coming.done():
                await onlookers.look()
        await onlookers.look()
        assert sorted(onlookers.held) == sorted(people)
        await onlookers.pubsub.aclose()
