"""Who sees and changes attendance: teachers of their sessions, students their own records and channels."""

from typing import Any

import pytest
from muster.presence.v1 import attendance_pb2, channel_pb2
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import Reason

from tests.rpc.house import House, Metadata, reason_of
from tests.rpc.registers import ABSENT, ENDED, LATE, Register, new_register
from tests.rpc.school import School

MARK = attendance_pb2.NewAttendanceMark(user_id="ana", status=LATE, reason="late")
# What needs a teacher of the session.
CALLS: dict[str, dict[str, Any]] = {
    "ListAttendance": {},
    "MarkAttendance": {"marks": [MARK]},
    "ListAttendanceChanges": {},
    "GetAttendanceRule": {},
    "SetAttendanceRule": {},
    "GetAttendanceAnalytics": {},
    "ListChannels": {},
    "ConfigureChannel": {"name": "remote", "configuration": channel_pb2.ChannelConfiguration()},
}


@pytest.fixture(scope="module")
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ENDED)
    return register


def teachers(register: Register) -> dict[str, Metadata]:
    """Return whose session it is."""
    return {
        "host": register.tess,
        "admin": register.school.admin,
        "owner": register.school.user("root", OrganizationRole.OWNER),
        "ticket": register.ticket("tess", RoomRole.HOST),
        "cohost": register.ticket("cora", RoomRole.COHOST),
    }


def others(register: Register) -> dict[str, Metadata]:
    """Return who may know nothing of the session."""
    elsewhere = School(register.house)
    return {
        "editor": register.school.user("uwe", OrganizationRole.EDITOR),
        "stranger": elsewhere.admin,
        "namesake": elsewhere.tess,
        "ticket elsewhere": register.ticket("tess", RoomRole.HOST, session_id="elsewhere"),
    }


@pytest.mark.parametrize("rpc", CALLS)
@pytest.mark.parametrize("who", ["host", "admin", "owner", "ticket", "cohost"])
async def test_teachers_see_and_change_their_own_sessions(register: Register, rpc: str, who: str) -> None:
    await register.call(rpc, by=teachers(register)[who], **CALLS[rpc])


@pytest.mark.parametrize("rpc", CALLS)
@pytest.mark.parametrize("who", ["editor", "stranger", "namesake", "ticket elsewhere"])
async def test_others_do_not_learn_of_it(register: Register, rpc: str, who: str) -> None:
    refused = register.call(rpc, by=others(register)[who], **CALLS[rpc])
    assert await reason_of(refused) is Reason.NOT_FOUND


@pytest.mark.parametrize("rpc", sorted(CALLS.keys() - {"ListAttendance", "ListChannels"}))
async def test_students_change_nothing(register: Register, rpc: str) -> None:
    for student in (register.school.user("ana"), register.ticket("ana")):
        refused = register.call(rpc, by=student, **CALLS[rpc])
        assert await reason_of(refused) is Reason.PERMISSION_DENIED


async def test_a_file_is_for_teachers(register: Register) -> None:
    assert await register.file(format="ATTENDANCE_EXPORT_FORMAT_CSV")
    for who in others(register).values():
        refused = register.file(format="ATTENDANCE_EXPORT_FORMAT_CSV", by=who)
        assert await reason_of(refused) is Reason.NOT_FOUND
    refused = register.file(format="ATTENDANCE_EXPORT_FORMAT_CSV", by=register.school.user("ana"))
    assert await reason_of(refused) is Reason.PERMISSION_DENIED


async def test_there_is_nothing_to_say_of_what_was_never_reported(register: Register) -> None:
    for rpc, fields in CALLS.items():
        refused = register.call(rpc, by=register.school.admin, **{**fields, "session_id": "unheard-of"})
        assert await reason_of(refused) is Reason.NOT_FOUND


async def test_students_see_their_own_records_alone(register: Register) -> None:
    await register.mark(("ana", LATE), ("bo", ABSENT))
    ana = register.school.user("ana")
    own = await register.call("ListAttendance", by=ana, user_id="ana")
    assert [record.user_id for record in own.records] == ["ana"]
    for scope in ({"user_id": "bo"}, {"class_id": register.class_id}):
        refused = register.call("ListAttendance", by=ana, **scope)
        assert await reason_of(refused) is Reason.PERMISSION_DENIED
    assert await reason_of(register.call("ListAttendance", by=ana)) is Reason.NOT_FOUND
    ticket = register.ticket("tess", RoomRole.HOST)
    refused = register.call("ListAttendance", by=ticket, user_id="ana")
    assert await reason_of(refused) is Reason.PERMISSION_DENIED


async def test_teachers_see_records_of_their_own_sessions_alone(house: House) -> None:
    register = await new_register(house)
    await register.report(ENDED)
    await register.mark(("ana", LATE))
    uwe = register.school.user("uwe", OrganizationRole.EDITOR)
    for scope in ({"user_id": "ana"}, {"class_id": register.class_id}):
        assert not (await register.call("ListAttendance", by=uwe, **scope)).records
        for teacher in (register.tess, register.school.admin):
            assert len((await register.call("ListAttendance", by=teacher, **scope)).records) == 1


async def test_who_teaches_the_class_sees_sessions_others_hold_for_it(house: House) -> None:
    register = await new_register(house)
    await register.report(ENDED, host_user_id="uwe")
    assert await register.statuses() == {"ana": ABSENT, "bo": ABSENT, "cy": ABSENT}
    uwe = register.school.user("uwe", OrganizationRole.EDITOR)
    assert len((await register.call("ListAttendance", by=uwe)).records) == 3
    # Who does not teach any more does not, though they hold it.
    assert (
        await reason_of(register.call("ListAttendance", by=register.school.user("uwe"))) is Reason.NOT_FOUND
    )


async def test_students_see_channels_of_sessions_of_their_own_classes(register: Register) -> None:
    hidden = channel_pb2.ChannelConfiguration(hidden_from_students=True)
    await register.call("ConfigureChannel", name="projector", configuration=hidden)
    for who in (register.school.user("ana"), register.ticket("ana")):
        shown = await register.call("ListChannels", by=who)
        assert "main" in [channel.name for channel in shown.channels]
        assert "projector" not in [channel.name for channel in shown.channels]
    for who in (register.school.user("eve"), register.ticket("eve")):
        assert await reason_of(register.call("ListChannels", by=who)) is Reason.NOT_FOUND


async def test_a_session_without_classes_shows_its_channels_to_who_is_let_in(house: House) -> None:
    school = School(house)
    register = Register(school, await school.session([]), "")
    await register.report(ENDED, class_ids=[])
    shown = await register.call("ListChannels", by=register.ticket("eve"))
    assert [channel.name for channel in shown.channels] == ["main"]
    refused = register.call("ListChannels", by=school.user("eve"))
    assert await reason_of(refused) is Reason.NOT_FOUND
