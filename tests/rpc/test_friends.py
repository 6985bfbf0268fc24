"""Friendships: asking, answering, ending, blocking, listing; who sees what of it."""

import asyncio
import uuid
from typing import Any

import pytest
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_ACTIVE, PRESENCE_STATE_OFFLINE
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, error_of, reason_of
from tests.rpc.presence_friends import (
    ACCEPT,
    BLOCKED,
    DECLINE,
    FRIENDS,
    NONE,
    RECEIVED,
    REQUESTED,
    Club,
)


@pytest.fixture
def club(house: House) -> Club:
    return Club(house)


async def test_a_request_is_seen_by_both_and_accepted(club: Club) -> None:
    asked = await club.ask("ana", "bo", note="chess?")
    assert (asked.user_id, asked.state, asked.note) == ("bo", REQUESTED, "chess?")
    reply = await club.call("ListFriends", "bo", states=[RECEIVED])
    (received,) = reply.friendships
    assert (received.user_id, received.display_name, received.note) == ("ana", "Ana", "chess?")
    assert received.change_time == asked.change_time
    accepted = await club.answer("bo", "ana")
    assert (accepted.state, accepted.note, accepted.display_name) == (FRIENDS, "", "Ana")
    assert await club.seen("ana") == {"bo": FRIENDS}
    assert await club.seen("bo") == {"ana": FRIENDS}


async def test_who_asks_whom_was_asking_becomes_a_friend_at_once(club: Club) -> None:
    await club.ask("ana", "bo")
    assert (await club.ask("bo", "ana")).state == FRIENDS
    assert (await club.answer("bo", "ana")).state == FRIENDS
    assert await club.seen("ana") == {"bo": FRIENDS}


async def test_two_who_ask_each_other_at_once_are_friends_once(club: Club) -> None:
    for turn in range(200):
        one, other = f"a{turn}", f"b{turn}"
        states = {each.state for each in await asyncio.gather(club.ask(one, other), club.ask(other, one))}
        assert states == {REQUESTED, FRIENDS}
    rows = await club.house.rows(
        "SELECT bond, count(*) FROM presence.friendship WHERE organization_id = :organization GROUP BY bond",
        organization=club.organization,
    )
    assert rows == [("friends", 200)]


async def test_asking_again_changes_nothing(club: Club) -> None:
    first = await club.ask("ana", "bo", note="one")
    assert await club.ask("ana", "bo", note="two") == first
    await club.answer("bo", "ana")
    assert (await club.ask("ana", "bo")).state == FRIENDS


async def test_the_same_request_has_its_effect_once(club: Club) -> None:
    request_id = uuid.uuid4().hex
    first = await club.ask("ana", "bo", request_id=request_id)
    await club.call("RemoveFriend", "ana", user_id="bo")
    assert await club.ask("ana", "bo", request_id=request_id) == first
    assert await club.seen("ana") == {}
    again = club.ask("ana", "cy", request_id=request_id)
    assert await reason_of(again) is Reason.REQUEST_ID_REUSED


async def test_who_was_declined_may_ask_again_after_a_while(club: Club) -> None:
    await club.ask("ana", "bo")
    assert (await club.answer("bo", "ana", DECLINE)).state == NONE
    assert (await club.seen("ana"), await club.seen("bo")) == ({}, {})
    error = await error_of(club.ask("ana", "bo"))
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after is not None
    assert 86_000 < error.retry_after.total_seconds() <= 86_400
    await club.house.rows(
        "UPDATE presence.friendship SET change_time = change_time - interval '1 day' "
        "WHERE organization_id = :organization RETURNING 1",
        organization=club.organization,
    )
    assert (await club.ask("ana", "bo")).state == REQUESTED


async def test_who_declined_may_ask_at_once(club: Club) -> None:
    await club.ask("ana", "bo")
    await club.answer("bo", "ana", DECLINE)
    assert (await club.ask("bo", "ana")).state == REQUESTED
    assert (await club.ask("ana", "bo")).state == FRIENDS


async def test_there_is_no_request_to_answer(club: Club) -> None:
    for answer in (ACCEPT, DECLINE):
        assert await reason_of(club.answer("bo", "ana", answer)) is Reason.NOT_FOUND
    await club.ask("ana", "bo")
    assert await reason_of(club.answer("ana", "bo")) is Reason.NOT_FOUND
    await club.call("RemoveFriend", "ana", user_id="bo")
    assert await reason_of(club.answer("bo", "ana")) is Reason.NOT_FOUND
    await club.befriend("ana", "bo")
    assert await reason_of(club.answer("bo", "ana", DECLINE)) is Reason.NOT_FOUND


async def test_either_ends_a_friendship(club: Club) -> None:
    await club.befriend("ana", "bo")
    await club.call("RemoveFriend", "bo", user_id="ana")
    assert (await club.seen("ana"), await club.seen("bo")) == ({}, {})
    await club.call("RemoveFriend", "bo", user_id="ana")
    assert (await club.ask("ana", "bo")).state == REQUESTED


async def test_a_request_is_not_removed_by_who_received_it(club: Club) -> None:
    await club.ask("ana", "bo")
    await club.call("RemoveFriend", "bo", user_id="ana")
    assert await club.seen("bo") == {"ana": RECEIVED}


async def test_who_is_blocked_sees_what_anybody_would_see(club: Club) -> None:
    """Bo is blocked by Ana before anything, Cy is not, and both are told the same, whatever they do."""
    await club.block("ana", "bo")

    async def story(who: str) -> list[Any]:
        asked = await club.ask(who, "ana", note="hi")
        seen = [asked.state, asked.note, asked.display_name, await club.seen(who)]
        seen.append((await club.ask(who, "ana")).state)
        seen.append(await reason_of(club.answer(who, "ana")))
        reaction = club.call("SendQuickReaction", who, user_id="ana", reaction="👍")
        seen.append(await reason_of(reaction))
        await club.call("RemoveFriend", who, user_id="ana")
        seen.append(await club.seen(who))
        seen.append((await club.ask(who, "ana")).state)
        return seen

    # Ana's name is known from the block.
    assert await story("bo") == await story("cy")
    assert await club.seen("ana") == {"bo": BLOCKED, "cy": RECEIVED}
    assert await reason_of(club.answer("ana", "bo")) is Reason.NOT_FOUND


async def test_a_block_ends_a_friendship_for_good(club: Club) -> None:
    await club.befriend("ana", "bo")
    assert (await club.block("ana", "bo")).state == BLOCKED
    assert (await club.seen("ana"), await club.seen("bo")) == ({"bo": BLOCKED}, {})
    await club.call("UnblockUser", "ana", user_id="bo")
    assert (await club.seen("ana"), await club.seen("bo")) == ({}, {})


async def test_a_block_takes_ones_own_request_back_and_hides_the_others(club: Club) -> None:
    await club.ask("ana", "bo")
    await club.block("ana", "bo")
    assert await club.seen("bo") == {}
    await club.ask("cy", "ana")
    await club.block("ana", "cy")
    assert await club.seen("cy") == {"ana": REQUESTED}
    assert await club.seen("ana") == {"bo": BLOCKED, "cy": BLOCKED}
    await club.call("UnblockUser", "ana", user_id="cy")
    assert await club.seen("ana") == {"bo": BLOCKED, "cy": RECEIVED}


async def test_nobody_asks_whom_they_block(club: Club) -> None:
    first = await club.block("ana", "bo")
    assert await club.ask("ana", "bo") == first
    assert await club.block("ana", "bo") == first
    assert await club.seen("bo") == {}


async def test_two_may_block_each_other(club: Club) -> None:
    await club.befriend("ana", "bo")
    await asyncio.gather(club.block("ana", "bo"), club.block("bo", "ana"))
    await club.call("UnblockUser", "ana", user_id="bo")
    assert (await club.seen("ana"), await club.seen("bo")) == ({}, {"ana": BLOCKED})


async def test_a_block_wins_over_a_friendship_made_at_once(club: Club) -> None:
    for turn in range(20):
        one, other = f"a{turn}", f"b{turn}"
        await club.ask(one, other)
        accepted, _ = await asyncio.gather(
            club.answer(other, one), club.block(one, other), return_exceptions=True
        )
        assert isinstance(accepted, Exception) or accepted.state == FRIENDS
        assert await club.seen(one) == {other: BLOCKED}
        assert await club.seen(other) == {}


@pytest.mark.parametrize(
    ("rpc", "fields"),
    [
        ("RequestFriend", {}),
        ("RespondToFriendRequest", {"answer": ACCEPT}),
        ("RemoveFriend", {}),
        ("BlockUser", {}),
        ("UnblockUser", {}),
        ("SendQuickReaction", {"reaction": "👍"}),
    ],
)
async def test_nobody_is_their_own_friend(club: Club, rpc: str, fields: Any) -> None:
    error = await error_of(club.call(rpc, "ana", user_id="ana", **fields))
    assert error.reason is Reason.INVALID_FIELD
    assert [each.field for each in error.violations] == ["user_id"]
    assert await reason_of(club.call(rpc, "ana", user_id="", **fields)) is Reason.INVALID_FIELD


async def test_lists_go_by_name_in_pages(club: Club) -> None:
    names = ["Zoe", "ana", "Émile", "emil", "bo"]
    for name in names:
        await club.befriend("me", name)
    pages, token = [], ""
    while True:
        reply = await club.call("ListFriends", "me", page_size=2, page_token=token)
        pages.append([each.user_id for each in reply.friendships])
        token = reply.next_page_token
        if not token:
            break
    assert pages == [["ana", "bo"], ["emil", "Émile"], ["Zoe"]]
    other = club.call("ListFriends", "ana", page_token="nonsense")
    assert await reason_of(other) is Reason.PAGE_TOKEN_INVALID


async def test_a_page_token_is_of_one_list(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    token = (await club.call("ListFriends", "me", page_size=1)).next_page_token
    for fields in ({"states": [REQUESTED]}, {"user_ids": ["bo"]}):
        call = club.call("ListFriends", "me", page_token=token, **fields)
        assert await reason_of(call) is Reason.PAGE_TOKEN_INVALID
    assert await reason_of(club.call("ListFriends", "bo", page_token=token)) is Reason.PAGE_TOKEN_INVALID


async def test_lists_are_narrowed_to_people_and_states(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.ask("me", "cy")
    reply = await club.call("ListFriends", "me", user_ids=["ana", "cy", "nobody"])
    assert [each.user_id for each in reply.friendships] == ["ana"]
    reply = await club.call("ListFriends", "me", user_ids=["ana", "cy"], states=[REQUESTED, FRIENDS])
    # Cy, who has done nothing yet, has no name, and so comes first.
    assert [each.user_id for each in reply.friendships] == ["cy", "ana"]


async def test_friends_are_listed_with_their_presence_and_nobody_else_is(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.ask("me", "cy")
    for user_id in ("ana", "cy"):
        await club.beat(user_id)
    reply = await club.call("ListFriends", "me", states=[REQUESTED, FRIENDS])
    found = {each.user_id: each for each in reply.friendships}
    assert found["ana"].presence.state == PRESENCE_STATE_ACTIVE
    assert found["bo"].presence.state == PRESENCE_STATE_OFFLINE
    assert not found["cy"].HasField("presence")


async def test_services_ask_for_the_friends_of_others_and_people_do_not(club: Club) -> None:
    await club.befriend("ana", "bo")
    reply = await club.call("ListFriends", club.service, of_user_id="ana")
    assert [each.user_id for each in reply.friendships] == ["bo"]
    assert await reason_of(club.call("ListFriends", club.service)) is Reason.INVALID_FIELD
    unbound = club.house.service("arena")
    assert await reason_of(club.call("ListFriends", unbound, of_user_id="ana")) is Reason.NOT_FOUND
    owner = club.user("boss", OrganizationRole.OWNER)
    assert await reason_of(club.call("ListFriends", owner, of_user_id="ana")) is Reason.PERMISSION_DENIED
    mine = await club.call("ListFriends", "ana", of_user_id="ana")
    assert [each.user_id for each in mine.friendships] == ["bo"]


async def test_friends_are_of_one_organization(club: Club) -> None:
    elsewhere = Club(club.house)
    await club.befriend("ana", "bo")
    assert await elsewhere.seen("ana") == {}
    assert (await elsewhere.ask("ana", "bo")).state == REQUESTED


async def test_a_name_is_the_one_last_used(club: Club) -> None:
    await club.befriend("ana", "bo")
    renamed = club.house.user("bo", organization=club.organization, name="Roberta")
    await club.call("UnblockUser", renamed, user_id="cy")
    (friend,) = (await club.call("ListFriends", "ana")).friendships
    assert friend.display_name == "Roberta"
