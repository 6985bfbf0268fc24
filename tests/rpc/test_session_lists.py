"""Lists of sessions, seats and moves: pages, filters, who sees what, and nothing of other organizations."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, Metadata, bearer, reason_of
from tests.rpc.lessons import STATUS, Lesson, new_lesson, true_false
from tests.rpc.school import School

PUBLIC, UNLISTED = session_pb2.SESSION_VISIBILITY_PUBLIC, session_pb2.SESSION_VISIBILITY_UNLISTED


async def make(lesson: Lesson, *, by: Metadata | None = None, **settings: Any) -> str:
    """Make another session in the organization of a lesson."""
    wanted = session_pb2.SessionSettings(**{"title": "Another", "visibility": UNLISTED, **settings})
    request = pb.CreateSessionRequest(settings=wanted)
    created = await lesson.house.sessions.CreateSession(request, metadata=by or lesson.host)
    session_id: str = created.session.session_id
    return session_id


async def verb(lesson: Lesson, session_id: str, *rpcs: str) -> None:
    for rpc in rpcs:
        request = getattr(pb, f"{rpc}Request")(session_id=session_id)
        await getattr(lesson.house.sessions, rpc)(request, metadata=lesson.host)


async def listed(lesson: Lesson, by: Metadata, **fields: Any) -> list[str]:
    request = pb.ListSessionsRequest(**fields)
    answer = await lesson.house.sessions.ListSessions(request, metadata=by)
    return [session.session_id for session in answer.sessions]


async def pages(call: Callable[..., Awaitable[Any]], field: str, size: int) -> list[list[Any]]:
    """Return all pages of a list."""
    found, token = [], ""
    while True:
        page = await call(page_size=size, page_token=token)
        found.append(list(getattr(page, field)))
        token = page.next_page_token
        if not token:
            return found


async def test_pages_of_sessions_are_all_of_them_once_newest_first(house: House) -> None:
    lesson = await new_lesson(house)
    ids = [lesson.session_id, *[await make(lesson) for _ in range(6)]]

    async def call(**fields: Any) -> Any:
        return await house.sessions.ListSessions(pb.ListSessionsRequest(**fields), metadata=lesson.host)

    found = await pages(call, "sessions", 3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert [session.session_id for page in found for session in page] == ids[::-1]
    assert [len(page) for page in await pages(call, "sessions", 7)] == [7]


async def test_a_token_is_good_for_its_own_list_alone(house: House) -> None:
    lesson = await new_lesson(house)
    await make(lesson)
    page = await house.sessions.ListSessions(pb.ListSessionsRequest(page_size=1), metadata=lesson.host)
    token = page.next_page_token
    assert token
    other = await new_lesson(house)
    for by, fields in [
        (lesson.host, {"host_user_id": "host"}),
        (lesson.host, {"statuses": [STATUS["draft"]]}),
        (other.host, {}),
    ]:
        request = pb.ListSessionsRequest(page_token=token, **fields)
        assert await reason_of(house.sessions.ListSessions(request, metadata=by)) is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize("token", ["x", "é", "W10", "eyJhIjoxfQ", "bnVsbA", "A" * 512])
async def test_a_token_that_no_list_gave_is_refused(house: House, token: str) -> None:
    lesson = await new_lesson(house)
    request = pb.ListSessionsRequest(page_token=token)
    refused = house.sessions.ListSessions(request, metadata=lesson.host)
    assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID
    for rpc in ("ListStatusChanges", "ListParticipants"):
        assert await reason_of(lesson.call(rpc, page_token=token)) is Reason.PAGE_TOKEN_INVALID


async def test_sessions_are_found_by_what_they_are(house: House) -> None:
    lesson = await new_lesson(house)
    admin = lesson.user("boss", OrganizationRole.ADMIN)
    school = School(house, lesson.organization)
    for class_id in ("x", "y"):
        await school.make(class_id=class_id)
    running, paused = await make(lesson), await make(lesson, course_id="c", class_ids=["x", "y"])
    of_admin = await make(lesson, by=admin)
    await verb(lesson, running, "OpenLobby", "StartSession")
    await verb(lesson, paused, "OpenLobby", "StartSession", "PauseSession")
    live = [STATUS["waiting"], STATUS["active"], STATUS["paused"]]
    assert await listed(lesson, admin, statuses=live) == [paused, running]
    assert await listed(lesson, admin, statuses=[STATUS["active"]]) == [running]
    assert await listed(lesson, admin, statuses=live, host_user_id="host") == [paused, running]
    assert await listed(lesson, admin, host_user_id="boss") == [of_admin]
    assert await listed(lesson, admin, class_id="y") == [paused]
    assert await listed(lesson, admin, course_id="c") == [paused]
    assert await listed(lesson, admin, course_id="d") == []


async def test_members_find_public_live_ones_and_those_they_are_in(house: House) -> None:
    lesson = await new_lesson(house)
    public, draft, unlisted = (
        await make(lesson, visibility=PUBLIC),
        await make(lesson, visibility=PUBLIC),
        None,
    )
    unlisted = await make(lesson)
    await verb(lesson, public, "OpenLobby")
    await verb(lesson, unlisted, "OpenLobby")
    ana = lesson.user("ana")
    assert await listed(lesson, ana) == [public]
    await lesson.open()
    seat = await lesson.join("ana")
    assert set(await listed(lesson, ana)) == {public, lesson.session_id}
    await lesson.call("LeaveSession", by=seat.ticket)
    assert set(await listed(lesson, ana)) == {public, lesson.session_id}
    again = await lesson.join("ana")
    await lesson.call("KickParticipant", participant_id=again.id)
    assert await listed(lesson, ana) == [public]
    assert draft not in await listed(lesson, lesson.user("other", OrganizationRole.EDITOR))
    assert len(await listed(lesson, lesson.user("boss", OrganizationRole.OWNER))) == 4


async def test_a_code_is_shown_to_who_runs_the_session_and_who_is_in_it(house: House) -> None:
    lesson = await new_lesson(house, visibility=PUBLIC)
    await lesson.open()
    ana = await lesson.join("ana")
    for by in (lesson.host, ana.user, ana.ticket, lesson.user("boss", OrganizationRole.OWNER)):
        assert (await lesson.session(by)).join_code == lesson.join_code
    assert (await lesson.session(lesson.user("eve"))).join_code == ""
    request = pb.ListSessionsRequest()
    answer = await house.sessions.ListSessions(request, metadata=lesson.user("eve"))
    assert [session.join_code for session in answer.sessions] == [""]


async def test_pages_of_seats_are_all_of_them_once_in_order_of_joining(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    seats = [await lesson.join(f"user-{number}") for number in range(7)]
    await lesson.call("LeaveSession", by=seats[3].ticket)
    joined, left = session_pb2.PARTICIPANT_STATUS_JOINED, session_pb2.PARTICIPANT_STATUS_LEFT

    async def call(**fields: Any) -> Any:
        return await lesson.call("ListParticipants", statuses=[joined, left], **fields)

    found = await pages(call, "participants", 3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert [seat.participant_id for page in found for seat in page] == [seat.id for seat in seats]


async def test_pages_of_moves_are_all_of_them_once_oldest_first(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.start()
    for _ in range(2):
        await lesson.call("PauseSession")
        await lesson.call("ResumeSession")

    async def call(**fields: Any) -> Any:
        return await lesson.call("ListStatusChanges", **fields)

    found = [change.new_status for page in await pages(call, "changes", 2) for change in page]
    walked = ["draft", "waiting", "active", "paused", "active", "paused", "active"]
    assert found == [STATUS[status] for status in walked]


async def test_participants_do_not_read_who_moved_the_status(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    ana = await lesson.join("ana")
    assert await reason_of(lesson.call("ListStatusChanges", by=ana.ticket)) is Reason.PERMISSION_DENIED


CALLS: dict[str, dict[str, Any]] = {
    "GetSession": {},
    "UpdateSession": {"settings": session_pb2.SessionSettings(title="Mine", visibility=PUBLIC)},
    "OpenLobby": {},
    "StartSession": {},
    "PauseSession": {},
    "ResumeSession": {},
    "EndSession": {},
    "CancelSession": {},
    "DeleteSession": {},
    "ListStatusChanges": {},
    "LeaveSession": {},
    "KickParticipant": {"participant_id": "any"},
    "BanParticipant": {"participant_id": "any"},
    "ListParticipants": {},
    "UpdateParticipant": {"participant_id": "any", "display_name": "x"},
    "AddBlocks": {"blocks": [true_false()]},
    "UpdateBlock": {"block_id": "any", "block": true_false()},
    "DeleteBlock": {"block_id": "any"},
    "ReorderBlocks": {"block_ids": ["any"]},
    "ListBlocks": {},
    "ActivateBlock": {},
    "CloseBlock": {"block_id": "any"},
    "SkipBlock": {"block_id": "any"},
    "ImportBlocks": {"format": 1, "content": b"One? {=1 ~2}"},
}


@pytest.mark.parametrize("rpc", CALLS)
async def test_for_another_organization_the_session_is_not_there(house: House, rpc: str) -> None:
    lesson, other = await new_lesson(house, blocks=1), await new_lesson(house)
    await lesson.start()
    await other.open()
    before = await lesson.session()
    strangers = [other.user("boss", OrganizationRole.OWNER), other.host]
    strangers.append(bearer((await other.join_by_id(other.host)).ticket.token))
    call = lesson.block_call if "Block" in rpc else lesson.call
    for stranger in strangers:
        assert await reason_of(call(rpc, by=stranger, **CALLS[rpc])) is Reason.NOT_FOUND
    assert await lesson.session() == before


@pytest.mark.parametrize("rpc", sorted(CALLS.keys() - {"GetSession", "LeaveSession", "UpdateParticipant"}))
async def test_an_editor_who_did_not_make_it_does_not_run_it(house: House, rpc: str) -> None:
    lesson = await new_lesson(house, blocks=1, visibility=PUBLIC)
    await lesson.start()
    call = lesson.block_call if "Block" in rpc else lesson.call
    stranger = lesson.user("other", OrganizationRole.EDITOR)
    assert await reason_of(call(rpc, by=stranger, **CALLS[rpc])) is Reason.PERMISSION_DENIED


async def test_what_cannot_be_stored_is_refused_and_not_a_fault(house: House) -> None:
    lesson = await new_lesson(house)
    reasons = await asyncio.gather(
        reason_of(lesson.call("UpdateSession", settings={"title": "a\0b", "visibility": PUBLIC})),
        reason_of(lesson.call("KickParticipant", participant_id="a\0b")),
        reason_of(house.sessions.GetSession(pb.GetSessionRequest(session_id="\0"), metadata=lesson.host)),
        reason_of(lesson.join("ana", code="A\0")),
    )
    assert Reason.INTERNAL not in reasons
