"""Who watches friends sees who of them is here and what they do; nobody else sees it."""

from typing import Any

import pytest
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_pb2 import (
    ACTIVITY_AUDIENCE_FRIENDS,
    ACTIVITY_AUDIENCE_SCOPE,
    ACTIVITY_AUDIENCE_SCOPE_AND_FRIENDS,
    PRESENCE_STATE_ACTIVE,
    PRESENCE_STATE_AWAY,
    PRESENCE_STATE_OFFLINE,
)
from muster_kit.caller import OrganizationRole
from muster_kit.redis_client import open_redis
from muster_kit.streams.publisher import channel_of, encode_signal
from muster_presence.scope_keys import bell_room

from tests.conftest import TestStores
from tests.rpc.house import House
from tests.rpc.presence_friends import Club, active, doing, watching
from tests.rpc.presence_guests import ORGANIZATION, Gathering


@pytest.fixture
def club(house: House) -> Club:
    return Club(house)


async def test_friends_are_seen_as_they_come_change_and_go(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        assert watcher.here == {}
        await club.beat("ana")
        await watcher.until(active("ana"))
        await club.beat("ana", away=True)
        await watcher.until(lambda held: held.state_of("ana") == PRESENCE_STATE_AWAY)
        await club.beat("bo", activity=doing("exercise", target_id="squats"))
        await watcher.until(active("ana", "bo"))
        assert watcher.here["bo"].activity.target_id == "squats"
        await club.leave("ana")
        await watcher.until(active("bo"))
        assert watcher.state_of("ana") == PRESENCE_STATE_OFFLINE


async def test_beats_without_news_are_no_views(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.beat("ana")
    async with watching(club, "me") as watcher:
        await watcher.until(active("ana"))
        seen = watcher.views
        for _ in range(5):
            await club.beat("ana")
        await club.beat("bo")
        await watcher.until(active("ana", "bo"))
        assert watcher.views == seen + 1


async def test_staff_are_friends_like_others(club: Club) -> None:
    await club.befriend("me", "tess")
    request = presence_service_pb2.HeartbeatRequest(device_id="phone")
    tess = club.user("tess", OrganizationRole.EDITOR)
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        await club.house.presence.Heartbeat(request, metadata=tess)
        await watcher.until(active("tess"))


async def test_a_new_friend_is_seen_and_a_former_one_is_not(club: Club) -> None:
    await club.beat("ana")
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        await club.ask("me", "ana")
        await watcher.until(lambda held: held.told)
        assert watcher.here == {}
        await club.answer("ana", "me")
        await watcher.until(active("ana"))
        await club.block("ana", "me")
        await watcher.until(active())
        # What Ana does from now on is nothing to the watcher, who would hear of Bo after it.
        await club.beat("ana", away=True)
        await club.befriend("me", "bo")
        await club.beat("bo")
        await watcher.until(active("bo"))
        assert watcher.state_of("ana") == PRESENCE_STATE_OFFLINE


@pytest.mark.parametrize(
    ("audience", "is_seen"),
    [
        (ACTIVITY_AUDIENCE_SCOPE, False),
        (ACTIVITY_AUDIENCE_FRIENDS, True),
        (ACTIVITY_AUDIENCE_SCOPE_AND_FRIENDS, True),
    ],
)
async def test_what_is_done_in_a_room_is_seen_if_it_is_for_friends(
    club: Club, audience: Any, is_seen: bool
) -> None:
    gathering = Gathering(club.house, organization=club.organization)
    await club.befriend("me", "ana")
    await club.beat("ana", activity=doing("reading"))
    async with watching(club, "me") as watcher:
        await watcher.until(active("ana"))
        await gathering.beat(club.user("ana"), scopes=[gathering.entry("ana")])
        await gathering.do(club.user("ana"), "exercise", target_id="squats", audience=audience)
        if not is_seen:
            # What comes after it is seen.
            await club.beat("ana", away=True)
            await watcher.until(lambda held: held.state_of("ana") == PRESENCE_STATE_AWAY)
            assert watcher.here["ana"].activity.kind == "reading"
            return
        await watcher.until(lambda held: held.here["ana"].activity.kind == "exercise")
        assert watcher.here["ana"].scope == ORGANIZATION
        await gathering.leave(club.user("ana"), gathering.scope)
        await watcher.until(lambda held: held.here["ana"].activity.kind == "reading")
        assert watcher.state_of("ana") == PRESENCE_STATE_ACTIVE


async def test_a_friend_who_is_in_a_room_alone_is_seen_without_their_seat(club: Club) -> None:
    gathering = Gathering(club.house, organization=club.organization)
    await club.befriend("me", "ana")
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        activity = doing("exercise", ACTIVITY_AUDIENCE_FRIENDS)
        await gathering.beat(gathering.guest("ana"), activity=activity)
        await watcher.until(active("ana"))
        ana = watcher.here["ana"]
        assert (ana.participant_id, ana.role, ana.activity.kind) == ("", 0, "exercise")


async def test_what_is_for_friends_is_shown_to_nobody_else(club: Club) -> None:
    gathering = Gathering(club.house, organization=club.organization)
    await club.befriend("me", "ana")
    await club.beat("ana", activity=doing("secret", ACTIVITY_AUDIENCE_FRIENDS))
    await gathering.beat(gathering.guest("ana"), activity=doing("secret", ACTIVITY_AUDIENCE_FRIENDS))
    boss = club.user("boss", OrganizationRole.OWNER)
    for who, scope in ((boss, ORGANIZATION), (club.user("me"), ORGANIZATION), (boss, gathering.scope)):
        request = presence_service_pb2.ListActiveRequest(scope=scope)
        people = (await club.house.presence.ListActive(request, metadata=who)).people
        assert [(one.user_id, one.HasField("activity")) for one in people] == [("ana", False)]
        counted = presence_service_pb2.CountActiveRequest(scope=scope)
        counts = (await club.house.presence.CountActive(counted, metadata=who)).counts
        assert list(counts.activities) == []
        get = presence_service_pb2.GetPresenceRequest(user_ids=["ana"], scope=scope)
        (one,) = (await club.house.presence.GetPresence(get, metadata=who)).presences
        assert not one.HasField("activity")
    async with watching(club, "me") as watcher:
        await watcher.until(active("ana"))
        assert watcher.here["ana"].activity.kind == "secret"


async def test_what_a_service_says_of_a_friend_is_seen(club: Club) -> None:
    gathering = Gathering(club.house, organization=club.organization)
    await club.befriend("me", "ana")
    beat = presence_service_pb2.UserBeat(
        user_id="ana", scope=gathering.scope, activity=doing("match", ACTIVITY_AUDIENCE_FRIENDS)
    )
    request = presence_service_pb2.HeartbeatBatchRequest(organization_id=club.organization, beats=[beat])
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        await club.house.presence.HeartbeatBatch(request, metadata=club.service)
        await watcher.until(active("ana"))
        assert watcher.here["ana"].activity.kind == "match"


async def test_calls_that_nobody_makes_sense_of_change_nothing(club: Club, stores: TestStores) -> None:
    """A channel says who may have changed; what is true is looked up."""
    await club.befriend("me", "ana")
    async with watching(club, "me") as watcher, open_redis(stores.redis_url) as redis:
        await watcher.until(lambda held: held.views)
        channel = channel_of("presence", bell_room(club.organization))
        for payload in (b"", b"p", b"f", b"pana\0nobody", b"fme\0\0", b"fana"):
            await redis.publish(channel, encode_signal(payload))
        await club.beat("ana")
        await watcher.until(active("ana"))


async def test_a_lost_index_fills_again(club: Club, stores: TestStores) -> None:
    await club.befriend("me", "ana")
    await club.beat("ana")
    async with watching(club, "me") as watcher, open_redis(stores.redis_url) as redis:
        await watcher.until(active("ana"))
        async for key in redis.scan_iter(f"muster:presence:*{club.organization}*"):
            await redis.delete(key)
        channel = channel_of("presence", bell_room(club.organization))
        # As whoever listens is told when Redis is back.
        await redis.publish(channel, encode_signal(b""))
        await watcher.until(active())
        await club.beat("ana")
        await watcher.until(active("ana"))
