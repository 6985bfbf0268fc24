"""Joining: by code and key, once a user, as many as there is room for, back to the same seat."""

import asyncio

import pytest
from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, bearer, reason_of
from tests.rpc.lessons import STATUS, new_lesson

PRIVATE = session_pb2.SESSION_VISIBILITY_PRIVATE
PUBLIC = session_pb2.SESSION_VISIBILITY_PUBLIC
JOINED = session_pb2.PARTICIPANT_STATUS_JOINED
KEY = "a key of the session"


async def test_a_member_joins_by_code_and_gets_a_seat_and_a_ticket(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    joined = (await lesson.join("ana", display_name="Ana")).joined
    assert joined.participant.display_name == "Ana"
    assert joined.participant.user_id == "ana"
    assert joined.participant.role == session_pb2.PARTICIPANT_ROLE_PARTICIPANT
    assert joined.participant.status == JOINED
    assert not joined.rejoined
    assert joined.session.session_id == lesson.session_id
    assert joined.session.participant_count == 1
    # The ticket is one: what it says is verified by the call that shows it.
    assert (await lesson.session(bearer(joined.ticket.token))).join_code == lesson.join_code


async def test_a_code_is_understood_however_it_is_typed(house: House) -> None:
    lesson = await new_lesson(house)
    code = await lesson.open()
    typed = f" {code[:3].lower()}-{code[3:].lower()} "
    assert (await lesson.join("ana", code=typed)).id
    preview = await house.sessions.GetSessionByCode(
        pb.GetSessionByCodeRequest(join_code=typed), metadata=lesson.user("ben")
    )
    assert preview.session == session_pb2.SessionPreview(
        session_id=lesson.session_id, title="Lesson", status=STATUS["waiting"], participant_count=1
    )


async def test_coming_back_leads_to_the_same_seat(house: House) -> None:
    lesson = await new_lesson(house, late_join_allowed=False)
    await lesson.open()
    first = await lesson.join("ana")
    await lesson.call("StartSession")
    await lesson.call("LeaveSession", by=first.user)
    assert (await lesson.session()).participant_count == 0
    again = await lesson.join("ana")
    assert (again.id, again.joined.rejoined) == (first.id, True)
    assert (await lesson.session()).participant_count == 1
    by_id = await lesson.join_by_id(lesson.user("ana"))
    assert (by_id.participant.participant_id, by_id.rejoined) == (first.id, True)
    assert by_id.session.participant_count == 1


async def test_joining_twice_is_one_seat_and_one_event(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    seats = await asyncio.gather(*(lesson.join("ana") for _ in range(10)))
    assert len({seat.id for seat in seats}) == 1
    joins = [event for event in await lesson.events() if event.HasField("participant_joined")]
    assert len(joins) == 1


async def test_fifty_who_come_at_once_never_take_more_seats_than_there_are(house: House) -> None:
    lesson = await new_lesson(house, max_participants=20)
    await lesson.open()
    outcomes = await asyncio.gather(
        *(lesson.join(f"user-{number}") for number in range(50)), return_exceptions=True
    )
    seats = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(seats) == 20
    session = await lesson.session()
    assert session.participant_count == 20
    assert await reason_of(lesson.join("one-more")) is Reason.SESSION_FULL
    counts = [
        event.participant_joined.participant_count
        for event in await lesson.events()
        if event.HasField("participant_joined")
    ]
    assert counts == list(range(1, 21))


async def test_who_leaves_makes_room_and_has_to_find_room_again(house: House) -> None:
    lesson = await new_lesson(house, max_participants=1)
    await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("LeaveSession", by=ana.ticket)
    await lesson.join("ben")
    assert await reason_of(lesson.join("ana")) is Reason.SESSION_FULL


async def test_spectators_take_no_seat_from_participants(house: House) -> None:
    lesson = await new_lesson(house, max_participants=1)
    await lesson.open()
    watching = await lesson.join("ana", as_spectator=True)
    assert watching.joined.participant.role == session_pb2.PARTICIPANT_ROLE_SPECTATOR
    assert (await lesson.session()).participant_count == 0
    await lesson.join("ben")
    await lesson.join("cleo", as_spectator=True)


@pytest.mark.parametrize("allowed", [True, False])
async def test_late_comers_join_when_the_host_lets_them(house: House, allowed: bool) -> None:
    lesson = await new_lesson(house, late_join_allowed=allowed)
    await lesson.start()
    if allowed:
        await lesson.join("ana")
    else:
        assert await reason_of(lesson.join("ana")) is Reason.LATE_JOIN


async def test_nobody_joins_what_is_not_live(house: House) -> None:
    lesson = await new_lesson(house)
    assert await reason_of(lesson.join_by_id(lesson.user("ana"))) is Reason.JOIN_REFUSED
    code = await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    await lesson.call("EndSession")
    assert (await lesson.session()).join_code == ""
    assert await reason_of(lesson.join("ben", code=code)) is Reason.JOIN_REFUSED
    assert await reason_of(lesson.join_by_id(ana.user)) is Reason.SESSION_STATUS


async def test_an_id_opens_nothing_to_who_never_held_a_seat(house: House) -> None:
    lesson = await new_lesson(house, visibility=PUBLIC)
    await lesson.open()
    assert await reason_of(lesson.join_by_id(lesson.user("ana"))) is Reason.JOIN_REFUSED


async def test_a_private_session_takes_code_and_key(house: House) -> None:
    lesson = await new_lesson(house, key=KEY, visibility=PRIVATE)
    await lesson.open()
    assert (await lesson.session()).has_key
    seat = await lesson.join("ana", key=KEY)
    for wrong in ("", "wrong", KEY.upper(), f"{KEY} "):
        assert await reason_of(lesson.join("ben", key=wrong)) is Reason.JOIN_REFUSED
    # Who was let in before comes back without it.
    assert (await lesson.join_by_id(seat.user)).participant.participant_id == seat.id


async def test_a_new_key_replaces_the_old_one(house: House) -> None:
    lesson = await new_lesson(house, key=KEY, visibility=PRIVATE)
    await lesson.open()
    settings = (await lesson.session()).settings
    await lesson.call("UpdateSession", settings=settings, key="another")
    assert await reason_of(lesson.join("ana", key=KEY)) is Reason.JOIN_REFUSED
    await lesson.join("ana", key="another")
    await lesson.call("UpdateSession", settings=settings)
    await lesson.join("ben", key="another")


async def test_private_sessions_have_keys_and_others_have_none(house: House) -> None:
    lesson = await new_lesson(house)
    settings = (await lesson.session()).settings
    assert await reason_of(lesson.call("UpdateSession", settings=settings, key=KEY)) is Reason.INVALID_FIELD
    settings.visibility = PRIVATE
    assert await reason_of(lesson.call("UpdateSession", settings=settings)) is Reason.INVALID_FIELD
    await lesson.call("UpdateSession", settings=settings, key=KEY)
    settings.visibility = PUBLIC
    await lesson.call("UpdateSession", settings=settings)
    assert not (await lesson.session()).has_key


async def test_a_key_is_stored_hashed_and_nowhere_else(house: House) -> None:
    lesson = await new_lesson(house, key=KEY, visibility=PRIVATE)
    await lesson.open()
    await lesson.join("ana", key=KEY, request_id="with-the-key")
    rows = await house.rows(
        "SELECT key_hash FROM session.session WHERE session_id = :id", id=lesson.session_id
    )
    assert rows[0][0].startswith("$argon2id$")
    # A fast hash over a request that holds the key would make the slow one of the key pointless.
    without = pb.JoinSessionRequest(request_id="with-the-key", join_code=lesson.join_code)
    again = await house.sessions.JoinSession(
        pb.JoinSessionRequest(request_id="with-the-key", join_code=lesson.join_code, key=KEY),
        metadata=lesson.user("ana"),
    )
    assert again.participant.user_id == "ana"
    assert without.key == ""


async def test_codes_of_other_organizations_lead_nowhere(house: House) -> None:
    lesson, other = await new_lesson(house), await new_lesson(house)
    await lesson.open()
    await other.open()
    assert await reason_of(other.join("ana", code=lesson.join_code)) is Reason.JOIN_REFUSED


@pytest.mark.parametrize("role", [OrganizationRole.OWNER, OrganizationRole.ADMIN])
async def test_owners_and_admins_get_a_ticket_as_host_by_id(house: House, role: OrganizationRole) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    joined = await lesson.join_by_id(lesson.user("boss", role))
    assert not joined.HasField("participant")
    await lesson.call("StartSession", by=bearer(joined.ticket.token))
    assert (await lesson.session()).participant_count == 0


async def test_the_host_gets_a_ticket_as_host_by_id_and_by_code(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    by_id = await lesson.join_by_id(lesson.host)
    by_code = await house.sessions.JoinSession(
        pb.JoinSessionRequest(join_code=lesson.join_code), metadata=lesson.host
    )
    for joined in (by_id, by_code):
        assert not joined.HasField("participant")
    await lesson.call("StartSession", by=bearer(by_code.ticket.token))


async def test_another_editor_is_a_participant_like_everybody(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    editor = lesson.user("other", OrganizationRole.EDITOR)
    joined = await house.sessions.JoinSession(
        pb.JoinSessionRequest(join_code=lesson.join_code), metadata=editor
    )
    assert joined.participant.role == session_pb2.PARTICIPANT_ROLE_PARTICIPANT
    assert await reason_of(lesson.call("StartSession", by=editor)) is Reason.PERMISSION_DENIED


async def test_names_are_shown_without_what_cannot_be_seen(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    ana = await lesson.join("ana", display_name=" A\u202en\t a \x07 ")
    assert ana.joined.participant.display_name == "An a"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert (await lesson.join("ben", display_name=family)).joined.participant.display_name == family
    nameless = await lesson.join("cleo", display_name="\u200b\u200b")
    assert nameless.joined.participant.display_name == "cleo"


async def test_the_same_code_is_never_live_twice(house: House) -> None:
    lessons = [await new_lesson(house) for _ in range(5)]
    codes = await asyncio.gather(*(lesson.open() for lesson in lessons))
    assert len(set(codes)) == 5
