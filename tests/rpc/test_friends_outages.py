"""Friends over several workers, and while a store is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from muster.presence.v1.friend_service_pb2_grpc import FriendServiceStub
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_OFFLINE
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_kit.db import Database
from muster_presence.app import build
from muster_presence.person_rooms import person_lock
from muster_presence.settings import PresenceServiceSettings
from muster_stack.hosting import Host
from sqlalchemy import text

from tests.rpc.house import House, _free_port
from tests.rpc.presence_friends import FRIENDS, RECEIVED, REQUESTED, Club, watching
from tests.rpc.presence_inbox import listening

NOWHERE = "redis://127.0.0.1:9"


async def worker(house: House, **changes: str) -> AsyncIterator[House]:
    """Run one more worker over the stores of the house."""
    address = f"127.0.0.1:{_free_port()}"
    settings = house.settings.model_copy(update={"listen": address, **changes})
    app = build(settings, PresenceServiceSettings())
    async with Host(settings, [app]), grpc.aio.insecure_channel(address) as channel:
        yield replace(house, presence=PresenceServiceStub(channel), friends=FriendServiceStub(channel))


@pytest.fixture
async def other_worker(house: House) -> AsyncIterator[House]:
    async for each in worker(house):
        yield each


@pytest.fixture
async def without_redis(house: House) -> AsyncIterator[House]:
    async for each in worker(house, redis_url=NOWHERE):
        yield each


async def test_workers_tell_each_other(house: House, other_worker: House) -> None:
    here = Club(house)
    there = Club(other_worker, organization=here.organization)
    async with watching(here, "me") as watcher:
        await watcher.until(lambda held: held.views)
        await there.befriend("me", "ana")
        await there.beat("ana")
        await watcher.until(lambda held: held.state_of("ana") == 1)
        assert watcher.friendships == {"ana": FRIENDS}
        await there.call("RemoveFriend", "ana", user_id="me")
        await watcher.until(lambda held: held.state_of("ana") == 4)


async def test_two_at_two_workers_become_friends_once(house: House, other_worker: House) -> None:
    here = Club(house)
    there = Club(other_worker, organization=here.organization)
    for turn in range(50):
        one, other = f"a{turn}", f"b{turn}"
        made = await asyncio.gather(here.ask(one, other), there.ask(other, one))
        assert {each.state for each in made} == {REQUESTED, FRIENDS}


async def test_a_crowd_about_one_person_leaves_connections_to_the_others(house: House) -> None:
    club = Club(house)
    fans = [f"fan{number}" for number in range(house.settings.database_pool_size + 5)]
    database = Database.open(house.urls.app_url, pool_size=1)
    async with asyncio.TaskGroup() as crowd, database.transaction(club.organization) as transaction:
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")
        await transaction.connection.execute(lock, {"lock": person_lock(club.organization, "star")})
        asked = [crowd.create_task(club.ask(fan, "star")) for fan in fans]
        await locked_out(house, person_lock(club.organization, "star"))
        async with asyncio.timeout(3):
            assert (await club.ask("ana", "bo")).state == REQUESTED
        assert not any(each.done() for each in asked)
    await database.close()
    assert {each.result().state for each in asked} == {REQUESTED}


async def locked_out(house: House, lock: str) -> None:
    """Wait until somebody waits for a lock."""
    query = (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND (classid::bigint << 32 | objid::bigint) = hashtextextended(:lock, 0)"
    )
    async with asyncio.timeout(10):
        while not await house.rows(query, lock=lock):  # noqa: ASYNC110 - a store is asked
            await asyncio.sleep(0.01)


async def test_friendships_do_without_redis(house: House, without_redis: House) -> None:
    club = Club(without_redis)
    there = Club(house, organization=club.organization)
    await club.befriend("me", "ana")
    (friend,) = (await club.call("ListFriends", "me")).friendships
    assert (friend.state, friend.HasField("presence")) == (FRIENDS, False)
    await club.call("SendQuickReaction", "me", user_id="ana", reaction="👍")
    async with watching(club, "ana") as watcher:
        await watcher.until(lambda held: held.kinds)
        assert watcher.friendships == {"me": FRIENDS}
        # What others do is found in the log.
        await there.ask("bo", "ana")
        await watcher.until(lambda held: held.told)
        assert watcher.told == [("bo", RECEIVED)]
        assert watcher.views == 0


async def test_who_is_a_friend_no_more_is_not_shown_though_nobody_was_called(
    house: House, without_redis: House
) -> None:
    here = Club(house)
    there = Club(without_redis, organization=here.organization)
    await here.befriend("me", "ana")
    await here.beat("ana")
    async with listening(house, here.user("me"), include_friends=True) as me, asyncio.timeout(8):
        assert [friend.user_id for friend in (await me.until("view")).friends] == ["ana"]
        await there.call("RemoveFriend", "ana", user_id="me")
        # It comes behind what was not heard, which is looked up then.
        await here.ask("bo", "me")
        (gone,) = (await me.until("view")).friends
        assert (gone.user_id, gone.state) == ("ana", PRESENCE_STATE_OFFLINE)


async def test_a_place_in_a_log_counts_at_every_worker(house: House, other_worker: House) -> None:
    here = Club(house)
    there = Club(other_worker, organization=here.organization)
    async with watching(here, "me") as watcher, listening(house, here.user("me")) as listener:
        await watcher.until(lambda held: held.kinds)
        await here.ask("ana", "me")
        await watcher.until(lambda held: held.told)
        assert len(await listener.events(1)) == 1
    await here.ask("bo", "me")
    async with (
        watching(there, "me", after=watcher.cursor) as again,
        listening(other_worker, there.user("me"), after=listener.cursor, begins=False) as goes_on,
    ):
        await again.until(lambda held: held.told)
        (event,) = await goes_on.events(1)
        assert again.told == [("bo", RECEIVED)]
        assert event.friendship.friendship.user_id == "bo"
        assert not {"snapshot", "reset"} & {
            *again.kinds,
            *(each.WhichOneof("frame") for each in goes_on.frames),
        }
