"""Watching friends: what happens in order, and who of them is here and does what; nobody else sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from muster.presence.v1 import friend_service_pb2 as pb
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_pb2 import (
    ACTIVITY_AUDIENCE_FRIENDS,
    ACTIVITY_AUDIENCE_SCOPE,
    ACTIVITY_AUDIENCE_SCOPE_AND_FRIENDS,
    PRESENCE_STATE_ACTIVE,
    PRESENCE_STATE_AWAY,
    PRESENCE_STATE_OFFLINE,
    PRESENCE_STATE_UNSPECIFIED,
)
from muster.stream.v1.stream_pb2 import RECONNECT_CAUSE_TICKET_EXPIRED, RESET_CAUSE_CURSOR_FOREIGN
from muster_kit.caller import OrganizationRole
from muster_kit.db import Database
from muster_kit.streams.publisher import channel_of, encode_signal
from muster_presence.convert_friends import encode_friends_event
from muster_presence.model_friends import Friendship
from muster_presence.person_rooms import KEPT_EVENTS, append_events, friends_room
from muster_presence.scope_keys import bell_room
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.house import House
from tests.rpc.presence_friends import (
    DECLINE,
    FRIENDS,
    NONE,
    RECEIVED,
    REQUESTED,
    SECONDS,
    Club,
    Watcher,
    doing,
    watching,
)
from tests.rpc.presence_guests import ORGANIZATION, Gathering


@pytest.fixture
def club(house: House) -> Club:
    return Club(house)


def active(*user_ids: str) -> Any:
    """Return the condition that a watcher sees these friends here, and no others."""
    return lambda held: {user_id for user_id in held.here if held.state_of(user_id) in HERE} == set(user_ids)


HERE = {PRESENCE_STATE_ACTIVE, PRESENCE_STATE_AWAY}


async def test_a_watch_begins_with_everything(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.ask("me", "cy")
    await club.ask("di", "me", note="hi")
    await club.beat("ana")
    call = club.house.friends.WatchFriends(pb.WatchFriendsRequest(max_frames=2), metadata=club.user("me"))
    watcher = Watcher(call)
    async for frame in call:
        watcher.take(frame)
    assert watcher.kinds == ["snapshot", "view"]
    assert watcher.friendships == {"ana": FRIENDS, "bo": FRIENDS, "cy": REQUESTED, "di": RECEIVED}
    assert list(watcher.here) == ["ana"]
    assert watcher.here["ana"].scope == ORGANIZATION


async def test_who_has_nobody_watches_too(club: Club) -> None:
    async with watching(club, "me") as watcher:
        await watcher.until(lambda held: held.views)
        assert (watcher.friendships, watcher.here) == ({}, {})
        await club.ask("ana", "me")
        await watcher.until(lambda held: held.told)
        assert watcher.told == [("ana", RECEIVED)]


async def test_who_watches_is_known_by_name(club: Club) -> None:
    async with watching(club, "ana") as ana:
        await ana.until(lambda held: held.kinds)
        assert (await club.ask("me", "ana")).display_name == "Ana"
    # Of who has done nothing yet there is no name.
    assert (await club.ask("me", "bo")).display_name == ""


async def test_many_who_come_at_once_all_see_their_friends(club: Club) -> None:
    people = [f"u{number}" for number in range(12)]
    await club.beat("ana")
    for each in people:
        await club.befriend("ana" if each < "u5" else "bo", each)

    async def see(user_id: str) -> list[str]:
        async with watching(club, user_id) as watcher:
            await watcher.until(lambda held: held.views)
            return list(watcher.here)

    seen = await asyncio.gather(*map(see, people))
    assert seen == [["ana"] if each < "u5" else [] for each in people]


async def test_both_are_told_what_happens_in_order(club: Club) -> None:
    async with watching(club, "ana") as ana, watching(club, "bo") as bo:
        for watcher in (ana, bo):
            await watcher.until(lambda held: held.kinds)
        await club.ask("ana", "bo")
        await club.answer("bo", "ana", DECLINE)
        await club.ask("bo", "ana")
        await club.answer("ana", "bo")
        await club.call("RemoveFriend", "ana", user_id="bo")
        for watcher in (ana, bo):
            await watcher.until(lambda held: len(held.told) == 5)
        assert [state for _, state in ana.told] == [REQUESTED, NONE, RECEIVED, FRIENDS, NONE]
        assert [state for _, state in bo.told] == [RECEIVED, NONE, REQUESTED, FRIENDS, NONE]
        assert {user_id for user_id, _ in ana.told} == {"bo"}


async def test_a_block_is_told_to_who_blocks_alone(club: Club) -> None:
    await club.ask("bo", "ana")
    async with watching(club, "ana") as ana, watching(club, "bo") as bo:
        for watcher in (ana, bo):
            await watcher.until(lambda held: held.kinds)
        await club.block("ana", "bo")
        await club.call("UnblockUser", "ana", user_id="bo")
        await club.ask("cy", "bo")
        await ana.until(lambda held: len(held.told) == 2)
        assert ana.friendships == {"bo": RECEIVED}
        await bo.until(lambda held: held.told)
        assert bo.told == [("cy", RECEIVED)]
        assert bo.friendships["ana"] == REQUESTED


async def test_a_watch_goes_on_where_it_was(club: Club) -> None:
    async with watching(club, "me") as first:
        await first.until(lambda held: held.kinds)
        await club.ask("ana", "me")
        await first.until(lambda held: held.told)
    await club.ask("bo", "me")
    await club.answer("me", "ana")
    async with watching(club, "me", after=first.cursor) as again:
        await again.until(lambda held: len(held.told) == 2 and held.views)
        assert again.told == [("bo", RECEIVED), ("ana", FRIENDS)]
        assert "snapshot" not in again.kinds


async def test_a_cursor_of_somebody_else_begins_anew(club: Club) -> None:
    async with watching(club, "ana") as ana:
        await club.ask("bo", "ana")
        await ana.until(lambda held: held.cursor)
    async with watching(club, "bo", after=ana.cursor) as bo:
        frame = await bo.call.read()
        assert frame.reset.cause == RESET_CAUSE_CURSOR_FOREIGN
        await bo.until(lambda held: "snapshot" in held.kinds)
        assert bo.friendships == {"ana": REQUESTED}


async def test_a_log_is_cut_and_who_is_behind_begins_anew(club: Club) -> None:
    """So many events of a person are kept, however often friendships begin and end."""
    async with watching(club, "ana") as first:
        await first.until(lambda held: held.cursor)
    room_id = friends_room(club.organization, "ana")
    app: Any = club.house.apps["presence"]
    database = Database.open(club.house.urls.app_url, pool_size=1)
    event = partial(encode_friends_event, Friendship(user_id="bo"))
    kept = []
    for _ in range(5):
        async with database.transaction(club.organization) as transaction:
            (run,) = await append_events(transaction, {room_id: [event] * (KEPT_EVENTS // 2)})
        app._publications.offer(run)
        seqs = await club.house.rows(
            "SELECT min(seq), count(*) FROM presence.room_event WHERE room_id = :room_id", room_id=room_id
        )
        kept += seqs
        assert run.first_seq + KEPT_EVENTS // 2 == seqs[0][0] + seqs[0][1]
    await database.close()
    half = KEPT_EVENTS // 2
    assert kept == [(1, half), (1, 2 * half), (1, 3 * half), (1, 4 * half), (3 * half + 1, 2 * half)]
    async with watching(club, "ana", after=first.cursor) as again:
        await again.until(lambda held: "snapshot" in held.kinds)
        assert again.kinds.index("reset") < again.kinds.index("snapshot")


async def test_replay_ends_when_all_was_sent(club: Club) -> None:
    await club.befriend("me", "ana")
    call = club.house.friends.WatchFriends(pb.WatchFriendsRequest(replay_only=True), metadata=club.user("me"))
    async with asyncio.timeout(SECONDS):
        assert [frame.WhichOneof("frame") async for frame in call] == ["snapshot", "view"]


async def test_a_stream_ends_with_the_token(club: Club) -> None:
    briefly = Gathering(club.house, organization=club.organization).briefly("me")
    call = club.house.friends.WatchFriends(pb.WatchFriendsRequest(), metadata=briefly)
    async with asyncio.timeout(SECONDS):
        frames = [frame async for frame in call]
    assert frames[-1].reconnect.cause == RECONNECT_CAUSE_TICKET_EXPIRED


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
    async with watching(club, "me") as watcher, Redis.from_url(stores.redis_url) as redis:
        await watcher.until(lambda held: held.views)
        channel = channel_of("presence", bell_room(club.organization))
        for payload in (b"", b"p", b"f", b"pana\0nobody", b"fme\0\0", b"fana"):
            await redis.publish(channel, encode_signal(payload))
        await club.beat("ana")
        await watcher.until(active("ana"))


async def test_a_lost_index_fills_again(club: Club, stores: TestStores) -> None:
    await club.befriend("me", "ana")
    await club.beat("ana")
    async with watching(club, "me") as watcher, Redis.from_url(stores.redis_url) as redis:
        await watcher.until(active("ana"))
        async for key in redis.scan_iter(f"muster:presence:*{club.organization}*"):
            await redis.delete(key)
        channel = channel_of("presence", bell_room(club.organization))
        # As whoever listens is told when Redis is back.
        await redis.publish(channel, encode_signal(b""))
        await watcher.until(active())
        await club.beat("ana")
        await watcher.until(active("ana"))


class Connected:
    """Someone who is connected, and the friends that views have brought them."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.here: dict[str, Any] = {}
        self.views = 0
        self.leases = 0

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition(self):
                frame = await self.call.read()
                if frame.WhichOneof("frame") != "view":
                    continue
                self.views += 1
                self.leases += frame.view.HasField("lease")
                self.here = {} if frame.view.full else self.here
                self.here |= {one.user_id: one for one in frame.view.friends}

    def state_of(self, user_id: str) -> int:
        return self.here[user_id].state if user_id in self.here else PRESENCE_STATE_UNSPECIFIED


@asynccontextmanager
async def connected(club: Club, user_id: str, **said: Any) -> AsyncIterator[Connected]:
    request = presence_service_pb2.ConnectRequest(**{"device_id": "phone", **said})
    call = club.house.presence.Connect(request, metadata=club.user(user_id))
    try:
        yield Connected(call)
    finally:
        call.cancel()


async def test_whoever_connects_may_have_friends_shown(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.beat("bo")
    async with (
        connected(club, "me", include_friends=True) as with_friends,
        connected(club, "me", device_id="tv") as without,
    ):
        await with_friends.until(active("bo"))
        assert with_friends.leases == 1
        await without.until(lambda held: held.leases)
        await club.beat("ana")
        await with_friends.until(active("ana", "bo"))
        await club.leave("bo")
        await with_friends.until(active("ana"))
        await club.call("RemoveFriend", "ana", user_id="me")
        await with_friends.until(active())
        assert (without.views, without.here) == (1, {})
    async with connected(club, "me", include_friends=True) as again:
        await again.until(lambda held: held.views == 2)
        assert again.here == {}


async def test_two_who_connect_see_each_other(club: Club) -> None:
    await club.befriend("ana", "bo")
    async with connected(club, "ana", include_friends=True) as ana:
        await ana.until(lambda held: held.views == 2)
        async with connected(club, "bo", include_friends=True) as bo:
            await bo.until(active("ana"))
            await ana.until(active("bo"))


async def test_nothing_is_kept_of_those_who_have_gone(club: Club) -> None:
    await club.befriend("me", "ana")
    app: Any = club.house.apps["presence"]
    async with watching(club, "me") as watcher, connected(club, "me", include_friends=True) as device:
        await watcher.until(lambda held: held.views)
        await device.until(lambda held: held.views == 2)
        assert club.organization in app._friends.sights._sights
    async with asyncio.timeout(SECONDS):
        while club.organization in app._friends.sights._sights:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert not [key for key in app._friends.sights._seeing if key[0] == club.organization]
