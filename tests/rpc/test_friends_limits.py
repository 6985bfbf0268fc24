"""How much of everything a person may have and do: friends, requests, blocks, reactions; and erasure."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.friend_service_pb2_grpc import FriendServiceStub
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason
from muster_presence.app import build
from muster_presence.settings import PresenceServiceSettings
from muster_stack.hosting import Host

from tests.rpc.house import House, _free_port, error_of, reason_of
from tests.rpc.presence_friends import (
    BLOCKED,
    FRIENDS,
    NONE,
    RECEIVED,
    REQUESTED,
    SECONDS,
    Club,
    doing,
    watching,
)

SMALL = PresenceServiceSettings(
    max_friends=3,
    max_open_friend_requests=3,
    max_blocks=2,
    friend_requests_per_hour=8,
    quick_reactions=("gg", "wow"),
    reactions_to_a_friend_per_minute=3,
    reactions_per_minute=5,
)


@pytest.fixture(scope="module")
async def small_house(house: House) -> AsyncIterator[House]:
    """A worker with small limits, on the stores of the house."""
    address = f"127.0.0.1:{_free_port()}"
    settings = house.settings.model_copy(update={"listen": address})
    async with Host(settings, [build(settings, SMALL)]), grpc.aio.insecure_channel(address) as channel:
        yield replace(house, presence=PresenceServiceStub(channel), friends=FriendServiceStub(channel))


@pytest.fixture
def club(small_house: House) -> Club:
    return Club(small_house)


async def age(club: Club) -> None:
    """Let the windows of all counts be over."""
    await club.house.rows(
        "UPDATE presence.friend_rate SET window_start = window_start - interval '1 hour' "
        "WHERE organization_id = :organization RETURNING 1",
        organization=club.organization,
    )


async def test_a_person_has_so_many_friends(club: Club) -> None:
    await club.befriend("me", "a", "b", "c")
    await club.ask("d", "me")
    assert await reason_of(club.answer("me", "d")) is Reason.TOO_LARGE
    assert (await club.seen("me"))["d"] == RECEIVED
    await club.call("RemoveFriend", "a", user_id="me")
    assert (await club.answer("me", "d")).state == FRIENDS


async def test_the_limit_is_that_of_both(club: Club) -> None:
    await club.befriend("me", "a", "b")
    await club.ask("me", "d")
    await club.befriend("me", "c")
    assert await reason_of(club.answer("d", "me")) is Reason.TOO_LARGE
    assert await reason_of(club.ask("d", "me")) is Reason.TOO_LARGE
    assert await club.seen("d") == {"me": RECEIVED}


async def test_the_limit_holds_for_those_who_come_at_once(club: Club) -> None:
    for turn in range(20):
        me, others = f"me{turn}", [f"{letter}{turn}" for letter in "cde"]
        await club.befriend(me, f"a{turn}", f"b{turn}")
        for other in others:
            await club.ask(me, other)
        answers = await asyncio.gather(*(club.answer(other, me) for other in others), return_exceptions=True)
        assert [each.state for each in answers if not isinstance(each, BaseException)] == [FRIENDS]


async def test_so_many_requests_wait_for_an_answer(club: Club) -> None:
    for other in ("a", "b", "c"):
        await club.ask("me", other)
    assert await reason_of(club.ask("me", "d")) is Reason.TOO_LARGE
    await club.call("RemoveFriend", "me", user_id="a")
    assert (await club.ask("me", "d")).state == REQUESTED


async def test_so_many_requests_are_received_and_those_of_the_blocked_do_not_count(club: Club) -> None:
    await club.block("me", "x")
    for other in ("x", "a", "b", "c"):
        assert (await club.ask(other, "me")).state == REQUESTED
    # Both are told the same: one cannot know by it of being blocked.
    await club.block("me", "y")
    for other in ("d", "y"):
        assert await reason_of(club.ask(other, "me")) is Reason.TOO_LARGE


async def test_so_many_are_blocked(club: Club) -> None:
    for other in ("a", "b"):
        await club.block("me", other)
    assert await reason_of(club.block("me", "c")) is Reason.TOO_LARGE
    assert (await club.block("me", "a")).state == BLOCKED
    await club.call("UnblockUser", "me", user_id="a")
    assert (await club.block("me", "c")).state == BLOCKED


async def test_nobody_asks_too_often(club: Club) -> None:
    for _ in range(8):
        await club.ask("me", "a")
        await club.call("RemoveFriend", "me", user_id="a")
    error = await error_of(club.ask("me", "a"))
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after is not None
    assert 3500 < error.retry_after.total_seconds() <= 3600
    await age(club)
    assert (await club.ask("me", "a")).state == REQUESTED


async def react(club: Club, by: str, whom: str, reaction: str = "gg", **fields: Any) -> None:
    await club.call("SendQuickReaction", by, user_id=whom, reaction=reaction, **fields)


async def test_a_reaction_reaches_a_friend_with_what_they_were_doing(club: Club) -> None:
    await club.befriend("me", "ana")
    await club.beat("ana", activity=doing("exercise", target_id="squats"))
    async with watching(club, "ana") as ana, watching(club, "me") as me:
        await ana.until(lambda held: held.kinds)
        await me.until(lambda held: held.kinds)
        await react(club, "me", "ana")
        await club.leave("ana")
        await react(club, "me", "ana", "wow")
        await ana.until(lambda held: len(held.reactions) == 2)
        first, second = ana.reactions
        assert (first.from_user_id, first.from_display_name, first.reaction) == ("me", "Me", "gg")
        assert first.activity.target_id == "squats"
        assert (second.reaction, second.HasField("activity")) == ("wow", False)
        await club.ask("me", "bo")
        await me.until(lambda held: held.told)
        assert me.reactions == []


async def test_a_reaction_is_in_the_inbox(club: Club) -> None:
    await club.befriend("me", "ana")
    await react(club, "me", "ana")
    request = presence_service_pb2.ConnectRequest(device_id="phone")
    call = club.house.presence.Connect(request, metadata=club.user("ana"))
    frame = await call.read()
    assert frame.snapshot is not None
    await react(club, "me", "ana", "wow")
    async with asyncio.timeout(SECONDS):
        while frame.WhichOneof("frame") != "events":
            frame = await call.read()
    call.cancel()
    assert [event.quick_reaction.reaction for event in frame.events.events] == ["wow"]


async def test_requests_wait_in_the_inbox_until_they_are_answered(club: Club) -> None:
    async def waiting() -> list[str]:
        request = presence_service_pb2.ConnectRequest(device_id="phone", max_frames=1)
        call = club.house.presence.Connect(request, metadata=club.user("me"))
        (frame,) = [frame async for frame in call]
        return [each.user_id for each in frame.snapshot.friend_requests]

    await club.ask("ana", "me", note="hi")
    await club.ask("bo", "me")
    await club.ask("me", "cy")
    assert await waiting() == ["bo", "ana"]
    await club.answer("me", "bo")
    await club.call("RemoveFriend", "ana", user_id="me")
    assert await waiting() == []


async def test_only_friends_react_and_only_with_what_there_is(club: Club) -> None:
    await club.ask("ana", "me")
    assert await reason_of(react(club, "me", "ana")) is Reason.NOT_FOUND
    await club.answer("me", "ana")
    error = await error_of(react(club, "me", "ana", "👍"))
    assert error.reason is Reason.INVALID_FIELD
    assert [each.field for each in error.violations] == ["reaction"]
    await club.block("ana", "me")
    assert await reason_of(react(club, "me", "ana")) is Reason.NOT_FOUND


async def test_too_many_reactions_to_one_and_to_all(club: Club) -> None:
    await club.befriend("me", "a", "b")
    for _ in range(3):
        await react(club, "me", "a")
    error = await error_of(react(club, "me", "a"))
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after is not None
    assert 0 < error.retry_after.total_seconds() <= 60
    for _ in range(2):
        await react(club, "me", "b")
    assert await reason_of(react(club, "me", "b")) is Reason.RATE_LIMITED
    # That somebody reacts too much is nothing to others.
    await react(club, "a", "me")
    await age(club)
    await react(club, "me", "a")


async def test_reactions_at_once_keep_to_the_limit_and_a_repeated_one_counts_once(club: Club) -> None:
    await club.befriend("me", "a")
    await asyncio.gather(*(react(club, "me", "a", request_id="same") for _ in range(6)))
    results = await asyncio.gather(*(react(club, "me", "a") for _ in range(6)), return_exceptions=True)
    assert sum(1 for each in results if each is None) == 2


async def test_erasing_somebody_leaves_nothing_of_them(club: Club) -> None:
    await club.befriend("ana", "me")
    await club.ask("ana", "bo", note="from ana")
    await club.block("cy", "ana")
    # Former friends have them in their logs alone.
    await club.befriend("ana", "di")
    await club.call("RemoveFriend", "di", user_id="ana")
    await club.befriend("me", "bo")
    async with watching(club, "me") as me:
        await me.until(lambda held: held.kinds)
        assert me.friendships == {"ana": FRIENDS, "bo": FRIENDS}
        request = presence_service_pb2.EraseUserRequest(user_id="ana")
        boss = club.user("boss", OrganizationRole.OWNER)
        reply = await club.house.presence.EraseUser(request, metadata=boss)
        assert reply.record_count >= 4
        await me.until(lambda held: held.friendships == {"bo": FRIENDS})
    for user_id in ("me", "bo", "cy", "di"):
        assert "ana" not in await club.seen(user_id)
    for table, column in (
        ("friendship", "first_user_id || ' ' || second_user_id || ' ' || note"),
        ("friend_block", "user_id || ' ' || blocked_user_id"),
        ("friend_name", "user_id || ' ' || display_name"),
        ("friend_rate", "user_id || ' ' || subject"),
        ("room_event", "encode(payload, 'escape')"),
        ("room_log", "room_id"),
    ):
        found = await club.house.rows(
            f"SELECT {column} FROM presence.{table} "
            f"WHERE organization_id = :organization AND lower({column}) LIKE '%ana%'"
            + (" AND room_id LIKE 'friends/%'" if table.startswith("room") else ""),
            organization=club.organization,
        )
        assert found == [], table
    # Whoever comes again is new.
    assert (await club.ask("ana", "cy")).state == REQUESTED


async def test_one_who_was_erased_is_told_apart_from_longer_ids(club: Club) -> None:
    await club.befriend("ana", "me")
    await club.befriend("anabel", "me")
    boss = club.user("boss", OrganizationRole.OWNER)
    request = presence_service_pb2.EraseUserRequest(user_id="ana")
    await club.house.presence.EraseUser(request, metadata=boss)
    assert await club.seen("me") == {"anabel": FRIENDS}
    assert await club.seen("anabel") == {"me": FRIENDS}
    async with watching(club, "anabel") as anabel:
        await anabel.until(lambda held: held.kinds)
        await club.call("RemoveFriend", "me", user_id="anabel")
        await anabel.until(lambda held: held.told)
        assert anabel.told == [("me", NONE)]
