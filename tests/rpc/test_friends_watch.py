"""Watching friends: what happens between people reaches each of them, in order, whenever they come."""

import asyncio
from functools import partial
from typing import Any

import pytest
from muster.presence.v1 import friend_service_pb2 as pb
from muster.stream.v1.stream_pb2 import RECONNECT_CAUSE_TICKET_EXPIRED, RESET_CAUSE_CURSOR_FOREIGN
from muster_kit.db import Database
from muster_presence.convert_friends import encode_friends_event
from muster_presence.model_friends import Friendship
from muster_presence.person_rooms import KEPT_EVENTS, append_events, friends_room
from muster_presence.store_postgres_friend_directory import PostgresFriendDirectory

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
    watching,
)
from tests.rpc.presence_guests import ORGANIZATION, Gathering


@pytest.fixture
def club(house: House) -> Club:
    return Club(house)


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


async def test_a_snapshot_is_of_the_moment_that_its_cursor_names(club: Club) -> None:
    """Ana's request is there or behind the veil by turns: after every other event."""
    await club.ask("ana", "me")
    database = Database.open(club.house.urls.app_url, pool_size=2)
    directory = PostgresFriendDirectory(database)
    seen: set[tuple[int, bool]] = set()

    async def look() -> None:
        while max((seq for seq, _ in seen), default=0) < 41:
            seq, friendships = await directory.snapshot(club.organization, "me")
            seen.add((seq, bool(friendships)))

    async with asyncio.TaskGroup() as looking:
        for _ in range(2):
            looking.create_task(look())
        for _ in range(20):
            await club.block("me", "ana")
            await club.call("UnblockUser", "me", user_id="ana")
    await database.close()
    assert len(seen) > 5
    assert seen == {(seq, seq % 2 == 1) for seq, _ in seen}


async def test_who_comes_again_writes_nothing(club: Club) -> None:
    """Watching is reading: only what is new about somebody is worth a write to disk."""
    versions = []
    for _ in range(2):
        async with watching(club, "ana") as ana:
            await ana.until(lambda held: held.kinds)
        versions += await club.house.rows(
            "SELECT name.xmin::text, name.xmax::text, log.xmin::text, log.xmax::text"
            " FROM presence.friend_name AS name JOIN presence.room_log AS log USING (organization_id)"
            " WHERE organization_id = :organization AND starts_with(room_id, 'friends/')",
            organization=club.organization,
        )
    assert versions[0] == versions[1]


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
