"""Whoever is erased leaves nothing in attendance, nor their name on what they decided."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster.presence.v1.attendance_pb2 import AttendanceEvent
from muster_kit.db import Commands, Database
from muster_kit.redis_client import open_redis
from muster_kit.streams import RedisPublisher
from muster_presence.attendance_rooms import room_of
from muster_presence.convert_attendance import encode_event
from muster_presence.model import Role, ScopeId, ScopeKind
from muster_presence.model_attendance import AttendanceRule
from muster_presence.model_channels import Times
from muster_presence.model_sheet import Stay
from muster_presence.model_spans import Span
from muster_presence.store_attendance import AttendanceRoom
from muster_presence.store_postgres_attendance import PostgresAttendanceRoom
from muster_presence.tables import ROOMS, SCHEMA
from muster_presence.usecases_attendance_records import BY_THE_CLOCK, Custom, Observed, write_down

from tests.rpc.house import House
from tests.rpc.registers import ENDED, EXCUSED, LATE, Register, minute, new_register

CUSTOM = Custom(
    rule=AttendanceRule(),
    times=Times(timedelta(seconds=15), timedelta(seconds=30), timedelta(seconds=5)),
    look_every=timedelta(seconds=5),
    ask_every=timedelta(seconds=30),
    settle_after=timedelta(seconds=15),
)
TABLES = ("attendance_record", "attendance_student", "attendance_mark", "attendance_change")


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    await register.mark(("ana", LATE), ("bo", EXCUSED))
    return register


@asynccontextmanager
async def commands_of(house: House) -> AsyncIterator[Commands[AttendanceRoom]]:
    """Write attendance as one more worker does."""
    database = Database.open(house.urls.app_url, pool_size=1)
    redis = open_redis(house.settings.redis_url)
    commands: Commands[AttendanceRoom] = Commands(
        database,
        ROOMS,
        bind=PostgresAttendanceRoom,
        encode_event=encode_event,
        publisher=RedisPublisher(redis, schema=SCHEMA),
    )
    try:
        yield commands
    finally:
        await commands.close()
        await redis.aclose()
        await database.close()


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


async def test_who_was_seen_before_they_were_erased_is_not_written_down_after_it(register: Register) -> None:
    await erase(register, "guest")
    span = Span(minute(0), minute(50))
    seen = Observed(
        stays=[
            Stay(user_id=user_id, display_name="Guest", role=Role.PARTICIPANT, span=span)
            for user_id in ("guest", "another")
        ]
    )

    async def work(room: AttendanceRoom) -> None:
        await write_down(room, await room.book(), seen, CUSTOM, BY_THE_CLOCK)

    async with commands_of(register.house) as commands:
        scope = ScopeId(register.school.organization, ScopeKind.SESSION, register.session_id)
        await commands.system(scope.organization_id, room_of(scope), work)
    written = {change.user_id for change in await register.changes()}
    assert "another" in written
    assert "guest" not in written


async def test_others_of_a_similar_name_stay(register: Register) -> None:
    await register.came("anatol", (0, 50))
    await register.mark(("anatol", LATE))
    await erase(register, "ana")
    assert "anatol" in await register.records()
    assert (await events(register))[-1].changed.change.user_id == "anatol"
