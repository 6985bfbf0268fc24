"""Attendance of real sessions: reported by the session service, seen by presence, settled at the end."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from muster.presence.v1 import attendance_pb2
from muster.presence.v1.attendance_service_pb2 import WatchAttendanceRequest
from muster.presence.v1.presence_service_pb2 import HeartbeatRequest
from muster_kit.db import Database
from sqlalchemy import text

from tests.conftest import TestStores
from tests.rpc.house import House, house_over, open_house, prepare
from tests.rpc.lessons import Lesson, Watch
from tests.rpc.registers import (
    ABSENT,
    ACTIVE,
    ENDED,
    EXCUSED,
    LEFT_EARLY,
    PRESENT,
    Register,
    minute,
    new_register,
)
from tests.rpc.school import School, for_classes, student
from tests.waiting import until


@pytest.fixture(scope="module")
async def house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Services of their own, where attendance is looked at often and settled soon."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MUSTER_PRESENCE_ATTENDANCE_INTERVAL", "PT0.2S")
        environment.setenv("MUSTER_PRESENCE_ATTENDANCE_SETTLING", "PT0.5S")
        environment.setenv("MUSTER_PRESENCE_ATTENDANCE_ROSTER_INTERVAL", "PT0.3S")
        async with open_house(stores, tmp_path_factory.mktemp("house")) as house:
            yield house


@pytest.fixture
async def register(house: House) -> Register:
    return await new_register(house)


def lesson_of(register: Register) -> Lesson:
    """Return the session as its host runs it."""
    return Lesson(register.house, register.school.organization, register.tess, register.session_id)


async def beat(register: Register, *user_ids: str) -> None:
    """Let people be in the session."""
    for user_id in user_ids:
        request = HeartbeatRequest(device_id="phone")
        await register.house.presence.Heartbeat(request, metadata=register.ticket(user_id))


async def settled(register: Register) -> dict[str, Any]:
    """Wait until the attendance is settled; return the records."""

    async def all_settled() -> dict[str, Any]:
        records = await register.records()
        return records if all(record.settled for record in records.values()) else {}

    return await until(all_settled)


async def test_a_session_is_attended_from_its_start_to_its_end(register: Register) -> None:
    lesson = lesson_of(register)
    await lesson.start()
    await beat(register, "ana", "bo", "guest")
    lasting = {"ana": PRESENT, "bo": PRESENT, "cy": ABSENT, "guest": PRESENT}
    await until(lambda: is_equal(register.statuses(), lasting))
    # What changed is kept while the session runs.
    await until(lambda: has_change(register, "ana", PRESENT))
    await lesson.call("PauseSession")
    await lesson.call("ResumeSession")
    await lesson.call("EndSession")
    records = await settled(register)
    assert {user_id: record.status for user_id, record in records.items()} == lasting
    spans = await register.house.rows(
        "SELECT cardinality(span_starts), cardinality(span_ends) FROM presence.attended WHERE scope_id = :id",
        id=register.session_id,
    )
    assert spans == [(2, 2)]
    points = await register.call("GetAttendanceAnalytics")
    assert points.latest.student_count == 3
    assert points.latest.present_count == 2
    assert points.latest.connection_count == 3
    # What is settled stays, whatever becomes of the ledger.
    await register.came("cy", (0, None))
    assert await register.statuses() == lasting


async def test_a_session_is_looked_at_ever_less_often_until_somebody_comes(register: Register) -> None:
    await lesson_of(register).start()
    await until(lambda: looks_away(register, seconds=0.5))
    await until(lambda: is_put_off(register))
    await beat(register, "ana")
    await until(lambda: has_change(register, "ana", PRESENT))


async def test_who_is_marked_stays_so_when_it_is_settled(register: Register) -> None:
    lesson = lesson_of(register)
    await lesson.open()
    await until(lambda: is_known(register))
    await register.mark(("cy", EXCUSED))
    await lesson.call("StartSession")
    await beat(register, "ana")
    await until(lambda: has_change(register, "ana", PRESENT))
    await lesson.call("EndSession")
    records = await settled(register)
    assert (records["cy"].status, records["cy"].computed_status) == (EXCUSED, ABSENT)
    assert [change.new_status for change in await register.changes(user_id="cy")] == [EXCUSED]
    causes = {change.cause for change in await register.changes()}
    assert causes == {
        attendance_pb2.ATTENDANCE_CHANGE_CAUSE_MARKED,
        attendance_pb2.ATTENDANCE_CHANGE_CAUSE_COMPUTED,
    }


async def test_what_a_teacher_marks_later_counts_and_leaves_what_was_settled(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    before = (await settled(register))["bo"]
    assert before.status == ABSENT
    await register.mark(("bo", EXCUSED))
    record = (await register.records())["bo"]
    assert (record.status, record.computed_status, record.settled) == (EXCUSED, ABSENT, True)
    assert (record.mark.marked_by_user_id, record.evidence) == ("tess", before.evidence)
    # Another rule judges what was observed, not what was marked.
    rule = attendance_pb2.AttendanceRule(present_share=0.5)
    await register.call("SetAttendanceRule", rule=rule)
    assert (await register.statuses())["bo"] == EXCUSED
    await register.mark(("bo", 0))
    assert (await register.records())["bo"].status == ABSENT
    statuses = [(change.old_status, change.new_status) for change in await register.changes(user_id="bo")]
    assert statuses[-2:] == [(ABSENT, EXCUSED), (EXCUSED, ABSENT)]


async def test_another_rule_settles_what_was_settled_anew(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 30))
    assert (await settled(register))["ana"].status == LEFT_EARLY
    rule = attendance_pb2.AttendanceRule(present_share=0.5, absent_share=0.1)
    await register.call("SetAttendanceRule", rule=rule)
    records = await register.records()
    assert (records["ana"].status, records["ana"].settled) == (PRESENT, True)
    last = (await register.changes(user_id="ana"))[-1]
    assert (last.old_status, last.new_status) == (LEFT_EARLY, PRESENT)
    assert (last.cause, last.changed_by_user_id) == (
        attendance_pb2.ATTENDANCE_CHANGE_CAUSE_RULE_CHANGED,
        "tess",
    )


async def test_a_session_that_is_changed_is_reported_anew(register: Register) -> None:
    lesson = lesson_of(register)
    other = await register.school.make("Physics", members=[student("dan", "Dan")])
    await until(lambda: is_known(register))
    await lesson.call("UpdateSession", settings=for_classes([other]))

    async def has_dan() -> bool:
        return list(await register.records()) == ["dan"]

    await until(has_dan)


async def test_who_comes_into_the_class_or_leaves_it_meanwhile(register: Register) -> None:
    lesson = lesson_of(register)
    await lesson.start()
    await until(lambda: is_known(register))
    await until(lambda: has_change(register, "cy", ABSENT))
    school = register.school
    of_class: dict[str, Any] = {"class_id": register.class_id}
    await school.call("AddClassMembers", members=[student("dan", "Dan")], **of_class)
    await school.call("RemoveClassMembers", user_ids=["cy"], **of_class)
    expected = dict.fromkeys(("ana", "bo", "dan"), ABSENT)
    await until(lambda: is_equal(register.statuses(), expected))
    changes = [(await register.changes(user_id=user_id))[-1] for user_id in ("cy", "dan")]
    assert [(change.old_status, change.new_status) for change in changes] == [(ABSENT, 0), (0, ABSENT)]
    assert {change.cause for change in changes} == {attendance_pb2.ATTENDANCE_CHANGE_CAUSE_RULE_CHANGED}
    # The others' records are as the clock made them.
    [change] = await register.changes(user_id="bo")
    assert change.cause == attendance_pb2.ATTENDANCE_CHANGE_CAUSE_COMPUTED
    listed = await register.call("ListAttendance", session_id=None, class_id=register.class_id)
    assert [record.user_id for record in listed.records] == ["ana", "bo", "dan"]
    await lesson.call("EndSession")
    await settled(register)
    # What is settled stays.
    assert await register.statuses() == expected


async def test_a_session_that_is_gone_has_ended(register: Register) -> None:
    gone = Register(register.school, "gone", register.class_id)
    await gone.report(ACTIVE, (0, None))
    await gone.came("guest", (0, 30), (40, None))
    assert (await settled(gone))["guest"].status == PRESENT
    phases = await register.house.rows(
        "SELECT phase, cardinality(span_ends) FROM presence.attended"
        " WHERE organization_id = :organization_id AND scope_id = 'gone'",
        organization_id=register.school.organization,
    )
    assert phases == [(ENDED, 1)]
    # A late word of it counts more than what was assumed.
    await gone.report(ENDED, (0, 60))
    spans = await register.house.rows(
        "SELECT span_ends[1] FROM presence.attended"
        " WHERE organization_id = :organization_id AND scope_id = 'gone'",
        organization_id=register.school.organization,
    )
    assert spans == [(minute(60),)]


async def test_who_watches_sees_people_come_and_the_end(register: Register) -> None:
    lesson = lesson_of(register)
    await until(lambda: is_known(register))
    request = WatchAttendanceRequest(session_id=register.session_id)
    watch = Watch(register.stub.WatchAttendance(request, metadata=register.tess))
    try:
        await watch.frame("snapshot")
        await lesson.start()
        await beat(register, "ana")
        await until(lambda: is_told(watch, "ana", PRESENT))
        await until(lambda: any(frame.view.now.present_count == 1 for frame in watch.frames))
        await lesson.call("EndSession")
        result = (await watch.event("settled")).result
        assert {each.status: each.count for each in result.statuses} == {PRESENT: 1, ABSENT: 2}
    finally:
        await watch.close()


async def test_what_could_not_be_reported_is_reported_when_presence_is_back(
    stores: TestStores, tmp_path: Path
) -> None:
    urls = await stores.copy_of("house", prepare)
    # One after the other: a worker that cannot reach presence would go on claiming what is due.
    async with house_over(stores, urls, tmp_path, presence_address="127.0.0.1:1") as house:
        register = await new_register(house)
        await lesson_of(register).start()
        assert not await is_known(register)
    async with house_over(stores, urls, tmp_path) as house:
        again = Register(School(house, register.school.organization), register.session_id, "")
        await until(lambda: is_known(again), seconds=60)
        assert set(await again.records()) == {"ana", "bo", "cy"}
    await stores.drop_database(urls)


def is_told(watch: Watch, user_id: str, status: int) -> bool:
    """Tell whether a stream said that somebody came to have a status, by the clock."""
    changes = [event.changed.change for event in watch.events if event.HasField("changed")]
    return any(
        (change.user_id, change.new_status, change.changed_by_user_id) == (user_id, status, "")
        for change in changes
    )


_LOOK = "key = 'look' AND room_id LIKE 'attendance/%' || :id"


async def looks_away(register: Register, *, seconds: float) -> bool:
    """Tell whether a session is not looked at for so long."""
    sql = f"SELECT fire_time > now() + make_interval(secs => :seconds) FROM presence.deadline WHERE {_LOOK}"
    return await register.house.rows(sql, id=register.session_id, seconds=seconds) == [(True,)]


async def is_put_off(register: Register) -> bool:
    """Have the session looked at in an hour, as if nobody had come for hours."""
    database = Database.open(register.house.urls.admin_url, pool_size=1)
    async with database.connection() as connection:
        sql = f"UPDATE presence.deadline SET fire_time = now() + interval '1 hour' WHERE {_LOOK}"
        await connection.execute(text(sql), {"id": register.session_id})
    await database.close()
    return await looks_away(register, seconds=3000)


async def is_equal(reading: Awaitable[Any], wanted: Any) -> bool:
    """Tell whether what is read is what is wanted; what cannot be read yet is not."""
    try:
        return bool(await reading == wanted)
    except grpc.aio.AioRpcError:
        return False


async def is_known(register: Register) -> bool:
    """Tell whether presence has been told of the session."""
    try:
        return bool(await register.records())
    except grpc.aio.AioRpcError:
        return False


async def has_change(register: Register, user_id: str, status: int) -> bool:
    """Tell whether somebody's record came to have a status."""
    return any(change.new_status == status for change in await register.changes(user_id=user_id))
