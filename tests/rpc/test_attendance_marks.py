"""Marks, rules and the history of attendance: what a teacher decides, kept and never altering the ledger."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from muster.presence.v1 import attendance_pb2
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster_kit.errors import Reason

from tests.rpc.house import House, error_of, reason_of
from tests.rpc.registers import (
    ABSENT,
    ENDED,
    EXCUSED,
    LATE,
    LEFT_EARLY,
    PRESENT,
    Register,
    new_register,
    stamp,
)

MARKED = attendance_pb2.ATTENDANCE_CHANGE_CAUSE_MARKED
WITHDRAWN = attendance_pb2.ATTENDANCE_CHANGE_CAUSE_MARK_WITHDRAWN


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    return register


async def ledger(register: Register) -> list[tuple[Any, ...]]:
    """Return all that the ledger has of the session."""
    return await register.house.rows(
        "SELECT * FROM presence.presence_interval WHERE scope_id = :id", id=register.session_id
    )


async def test_a_mark_counts_more_than_what_was_computed_and_leaves_the_ledger(register: Register) -> None:
    before = await ledger(register)
    marked = await register.mark(("bo", EXCUSED), ("ana", LATE))
    assert [(record.user_id, record.status) for record in marked.records] == [("bo", EXCUSED), ("ana", LATE)]
    records = await register.records()
    assert list(marked.records) == [records["bo"], records["ana"]]
    ana = records["ana"]
    assert (ana.status, ana.computed_status, ana.revision) == (LATE, PRESENT, 1)
    assert (ana.mark.reason, ana.mark.marked_by_user_id) == ("the doctor's", "tess")
    assert ana.mark.mark_time == ana.update_time
    assert ana.evidence.explanation == "50 of 50 minutes"
    assert (records["cy"].status, records["cy"].HasField("mark")) == (ABSENT, False)
    assert await ledger(register) == before


async def test_every_mark_is_in_the_history(register: Register) -> None:
    await register.mark(("ana", LATE))
    await register.mark(("ana", EXCUSED), by=register.school.admin)
    await register.mark(("ana", 0))
    told = [
        (change.old_status, change.new_status, change.cause, change.changed_by_user_id, change.reason)
        for change in await register.changes(user_id="ana")
    ]
    assert told == [
        (PRESENT, LATE, MARKED, "tess", "the doctor's"),
        (LATE, EXCUSED, MARKED, "boss", "the doctor's"),
        (EXCUSED, PRESENT, WITHDRAWN, "tess", "the doctor's"),
    ]
    assert (await register.records())["ana"].revision == 3
    assert not (await register.records())["ana"].HasField("mark")


async def test_as_of_a_time_marks_are_those_of_that_time(register: Register) -> None:
    await register.mark(("ana", LATE))
    first = (await register.records())["ana"].mark.mark_time
    await register.mark(("ana", EXCUSED))
    before = await register.call("ListAttendance", as_of_time=stamp(50))
    assert {record.user_id: record.status for record in before.records} == {"ana": PRESENT}
    then = await register.statuses(as_of_time=first)
    assert then == {"ana": LATE, "bo": ABSENT, "cy": ABSENT}


async def test_a_mark_is_set_once_for_a_request_id(register: Register) -> None:
    first = await register.mark(("ana", LATE), request_id="one")
    assert await register.mark(("ana", LATE), request_id="one") == first
    assert len(await register.changes()) == 1
    assert await reason_of(register.mark(("ana", ABSENT), request_id="one")) is Reason.REQUEST_ID_REUSED


async def test_marks_are_set_all_or_none(register: Register) -> None:
    refused = await error_of(register.mark(("ana", LATE), ("nobody", LATE), ("ana", PRESENT)))
    assert refused.reason is Reason.INVALID_FIELD
    assert [each.field for each in refused.violations] == ["marks[1].user_id", "marks[2].user_id"]
    assert not await register.changes()
    assert (await register.statuses())["ana"] == PRESENT


async def test_a_stale_mark_is_refused(register: Register) -> None:
    await register.mark(("ana", LATE))

    def again(revision: int) -> Any:
        mark = attendance_pb2.NewAttendanceMark(
            user_id="ana", status=EXCUSED, reason="again", expected_revision=revision
        )
        return register.call("MarkAttendance", marks=[mark])

    assert await reason_of(again(2)) is Reason.REVISION_STALE
    assert (await again(1)).records[0].revision == 2


async def test_withdrawing_nothing_changes_nothing(register: Register) -> None:
    answer = await register.mark(("ana", 0))
    assert (answer.records[0].status, answer.records[0].revision) == (PRESENT, 0)
    assert not await register.changes()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": ""}, "marks[0].reason"),
        ({"reason": "x" * 501}, "marks[0].reason"),
        ({"user_id": ""}, "marks[0].user_id"),
        ({"status": 99}, "marks[0].status"),
        ({"expected_revision": -1}, "marks[0].expected_revision"),
    ],
)
async def test_a_mark_needs_a_reason_and_a_person(
    register: Register, fields: dict[str, Any], field: str
) -> None:
    mark = {"user_id": "ana", "status": LATE, "reason": "late", **fields}
    refused = await error_of(
        register.call("MarkAttendance", marks=[attendance_pb2.NewAttendanceMark(**mark)])
    )
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, field)


async def test_a_cancelled_session_takes_no_marks(register: Register) -> None:
    await register.report(presence_pb.SCOPE_PHASE_CANCELLED)
    assert await reason_of(register.mark(("ana", LATE))) is Reason.SESSION_STATUS


async def test_changes_come_in_pages(register: Register) -> None:
    for status in (LATE, EXCUSED, ABSENT):
        await register.mark(("ana", status), ("bo", status))
    seen, token = [], ""
    while not seen or token:
        page = await register.call("ListAttendanceChanges", page_size=4, page_token=token)
        seen += [(change.user_id, change.new_status) for change in page.changes]
        token = page.next_page_token
    assert seen == [(user_id, status) for status in (LATE, EXCUSED, ABSENT) for user_id in ("ana", "bo")]
    token = (await register.call("ListAttendanceChanges", page_size=1)).next_page_token
    of_bo = register.call("ListAttendanceChanges", page_token=token, user_id="bo")
    assert await reason_of(of_bo) is Reason.PAGE_TOKEN_INVALID


async def test_the_rule_of_the_deployment_holds_until_there_is_one_of_the_session(
    register: Register,
) -> None:
    usual = await register.call("GetAttendanceRule")
    assert (usual.own, usual.revision) == (False, 0)
    assert (usual.rule.present_share, usual.rule.late_after.seconds) == (0.75, 600)
    await register.came("bo", (5, 50))
    assert (await register.statuses())["bo"] == PRESENT
    strict = attendance_pb2.AttendanceRule(
        present_share=0.95, absent_share=0.5, late_after=Duration(seconds=60)
    )
    answer = await register.call("SetAttendanceRule", rule=strict)
    assert (answer.rule, answer.revision) == (strict, 1)
    assert (await register.statuses())["bo"] == LATE
    read = await register.call("GetAttendanceRule")
    assert (read.rule, read.own, read.revision) == (strict, True, 1)
    # What was known before is judged by the rule of then: the roster was told later.
    assert (await register.statuses(as_of_time=stamp(50)))["bo"] == PRESENT
    back = await register.call("SetAttendanceRule", expected_revision=1)
    assert (back.rule, back.revision) == (usual.rule, 2)
    assert (await register.statuses())["bo"] == PRESENT


async def test_a_stale_or_repeated_rule(register: Register) -> None:
    rule = attendance_pb2.AttendanceRule(present_share=0.5)
    first = await register.call("SetAttendanceRule", rule=rule, request_id="one", expected_revision=0)
    again = await register.call("SetAttendanceRule", rule=rule, request_id="one", expected_revision=0)
    assert again == first
    stale = register.call("SetAttendanceRule", rule=rule, expected_revision=7)
    assert await reason_of(stale) is Reason.REVISION_STALE


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"present_share": 0.5, "absent_share": 0.6}, "rule.absent_share"),
        ({"present_share": 1.1}, "rule.present_share"),
        ({"present_share": float("nan")}, "rule.present_share"),
        ({"absent_share": -0.1}, "rule.absent_share"),
        ({"late_after": Duration(seconds=-1)}, "rule.late_after"),
        ({"left_early_before": Duration(seconds=86401)}, "rule.left_early_before"),
        ({"gap_tolerance": Duration(seconds=3601)}, "rule.gap_tolerance"),
    ],
)
async def test_a_rule_has_to_make_sense(register: Register, rule: dict[str, Any], field: str) -> None:
    wanted = attendance_pb2.AttendanceRule(**rule)
    refused = await error_of(register.call("SetAttendanceRule", rule=wanted))
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, field)


async def test_what_was_computed_by_the_rule_is_in_the_history(register: Register) -> None:
    await register.came("bo", (0, 30))
    lenient = attendance_pb2.AttendanceRule(present_share=0.5)
    await register.mark(("bo", LEFT_EARLY))
    await register.mark(("bo", 0))
    await register.call("SetAttendanceRule", rule=lenient)
    last = (await register.changes(user_id="bo"))[-1]
    assert (last.old_status, last.new_status) == (LEFT_EARLY, PRESENT)
    assert last.cause == attendance_pb2.ATTENDANCE_CHANGE_CAUSE_RULE_CHANGED


async def test_points_come_no_faster_than_sessions_are_looked_at(register: Register) -> None:
    for share in (0.1, 0.2, 0.3, 0.4):
        await register.came("bo", (share * 100, share * 100 + 5))
        await register.call("SetAttendanceRule", rule=attendance_pb2.AttendanceRule(present_share=share))
    series = await register.call("GetAttendanceAnalytics")
    # A stretch of time may have ended in between.
    assert 1 <= len(series.points) <= 2
    assert series.points[-1] == series.latest
    assert {each.status: each.count for each in series.latest.statuses} == {PRESENT: 2, ABSENT: 1}


async def test_a_mark_is_in_the_series(register: Register) -> None:
    await register.mark(("ana", EXCUSED), ("bo", EXCUSED))
    latest = (await register.call("GetAttendanceAnalytics")).latest
    assert {each.status: each.count for each in latest.statuses} == {EXCUSED: 2, ABSENT: 1}
    await register.mark(("bo", 0))
    latest = (await register.call("GetAttendanceAnalytics")).latest
    assert {each.status: each.count for each in latest.statuses} == {EXCUSED: 1, ABSENT: 2}
