"""Whoever is erased leaves nothing in attendance, nor their name on what they decided."""

import pytest
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster.presence.v1.attendance_pb2 import AttendanceEvent

from tests.rpc.house import House
from tests.rpc.registers import ENDED, EXCUSED, LATE, Register, new_register

TABLES = ("attendance_record", "attendance_student", "attendance_mark", "attendance_change")


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    await register.mark(("ana", LATE), ("bo", EXCUSED))
    return register


async def erase(register: Register, user_id: str) -> int:
    """Erase somebody; return the number of records."""
    request = presence_pb.EraseUserRequest(user_id=user_id)
    reply = await register.house.presence.EraseUser(request, metadata=register.school.admin)
    count: int = reply.record_count
    return count


async def events(register: Register) -> list[AttendanceEvent]:
    """Return the log of the session's attendance."""
    rows = await register.house.rows(
        "SELECT payload FROM presence.room_event WHERE organization_id = :organization_id"
        " AND starts_with(room_id, 'attendance/') ORDER BY seq",
        organization_id=register.school.organization,
    )
    return [AttendanceEvent.FromString(payload) for (payload,) in rows]


async def test_a_student_is_gone_from_records_history_and_log(register: Register) -> None:
    before = await events(register)
    assert await erase(register, "ana") > 0
    for table in TABLES:
        left = await register.house.rows(
            f"SELECT user_id FROM presence.{table} WHERE organization_id = :organization_id",
            organization_id=register.school.organization,
        )
        assert "ana" not in {user_id for (user_id,) in left}
    assert set(await register.records()) == {"bo", "cy"}
    after = await events(register)
    assert [event.seq for event in after] == [event.seq for event in before]
    assert [event.WhichOneof("event") for event in after] == ["erased", "changed"]
    assert after[1] == before[1]


async def test_what_a_teacher_decided_stays_without_their_name(register: Register) -> None:
    await register.call("SetAttendanceRule")
    await erase(register, "tess")
    listed = await register.call("ListAttendance", by=register.school.admin)
    records = {record.user_id: record for record in listed.records}
    assert (records["bo"].status, records["bo"].mark.marked_by_user_id) == (EXCUSED, "")
    told = await register.call("ListAttendanceChanges", by=register.school.admin)
    assert {change.changed_by_user_id for change in told.changes} == {""}
    assert not any(b"tess" in event.SerializeToString() for event in await events(register))
    assert not await register.house.rows(
        "SELECT 1 FROM presence.attended WHERE organization_id = :organization_id"
        " AND (host_user_id = 'tess' OR 'tess' = ANY (teacher_user_ids))",
        organization_id=register.school.organization,
    )


async def test_others_of_a_similar_name_stay(register: Register) -> None:
    await register.came("anatol", (0, 50))
    await register.mark(("anatol", LATE))
    await erase(register, "ana")
    assert "anatol" in await register.records()
    assert (await events(register))[-1].changed.change.user_id == "anatol"
