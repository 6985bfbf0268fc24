"""Attendance as it is listed: computed from the ledger, by the rule, against the roster, as of any time."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, SCOPE_KIND_WORKOUT, Scope
from muster_kit.errors import Reason

from tests.rpc.house import House, error_of, reason_of
from tests.rpc.registers import (
    ABSENT,
    ACTIVE,
    ENDED,
    EXCUSED,
    LATE,
    LEFT_EARLY,
    PAUSED,
    PRESENT,
    Register,
    minute,
    new_register,
    stamp,
)
from tests.rpc.school import student


@pytest.fixture
async def register(house: House) -> Register:
    return await new_register(house)


async def test_records_are_computed_from_the_ledger_and_explained(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 10), (12, 50))
    await register.came("bo", (20, 50))
    await register.came("guest", (0, 30))
    await register.came("watcher", (0, 50), role=2)
    await register.came("tess", (0, 50), role=3)
    records = await register.records()
    assert {user_id: record.status for user_id, record in records.items()} == {
        "ana": PRESENT,
        "bo": LATE,
        "cy": ABSENT,
        "guest": LEFT_EARLY,
    }
    ana = records["ana"]
    assert (ana.display_name, ana.in_roster, ana.settled) == ("Ana", True, False)
    assert (ana.evidence.explanation, ana.evidence.gap_count) == ("48 of 50 minutes, 1 gap", 1)
    assert ana.evidence.present_duration.seconds == 48 * 60
    assert ana.evidence.active_duration.seconds == 50 * 60
    assert ana.evidence.share == pytest.approx(0.96)
    assert (ana.evidence.first_seen_time, ana.evidence.last_seen_time) == (stamp(0), stamp(50))
    assert not records["guest"].in_roster
    assert not records["cy"].evidence.HasField("first_seen_time")


async def test_pauses_do_not_count(register: Register) -> None:
    await register.report(ENDED, (0, 20), (60, 90))
    await register.came("ana", (0, 20), (60, 90))
    records = await register.records()
    assert records["ana"].evidence.explanation == "50 of 50 minutes"


async def test_reports_add_up_and_older_ones_change_nothing(register: Register) -> None:
    await register.report(ACTIVE, change_time=stamp(0))
    await register.report(PAUSED, change_time=stamp(20))
    await register.report(ACTIVE, change_time=stamp(60))
    await register.report(ENDED, active_spans=[], change_time=stamp(90))
    register.revision -= 3
    await register.report(ACTIVE, change_time=stamp(95))
    await register.came("ana", (0, 100))
    assert (await register.records())["ana"].evidence.explanation == "50 of 50 minutes"


async def test_a_report_is_taken_once_for_a_request_id(register: Register) -> None:
    for _ in range(2):
        register.revision = 2_000_000
        await register.report(ENDED, request_id="one")
    register.revision = 2_000_000
    again = register.report(ENDED, request_id="one", title="Another")
    assert await reason_of(again) is Reason.REQUEST_ID_REUSED


async def test_as_of_a_time_is_what_was_known_then(register: Register) -> None:
    await register.report(ENDED)
    await register.came("ana", (0, 15))
    await register.came("bo", (8, 30), (33, 50))
    # The roster was told only now.
    before = await register.records(as_of_time=stamp(20))
    assert {name: record.evidence.explanation for name, record in before.items()} == {
        "ana": "15 of 20 minutes",
        "bo": "12 of 20 minutes",
    }
    assert await register.statuses() == {"ana": LEFT_EARLY, "bo": PRESENT, "cy": ABSENT}


async def test_who_left_the_class_and_came_back_was_not_in_it_meanwhile(register: Register) -> None:
    school = register.school
    of_class: dict[str, Any] = {"class_id": register.class_id}
    times, rosters = [], []

    async def report() -> None:
        await register.report(ACTIVE, (0, None))
        rosters.append(set(await register.records()))
        moment = Timestamp()
        moment.GetCurrentTime()
        times.append(moment)

    await report()
    await school.call("RemoveClassMembers", user_ids=["cy"], **of_class)
    await report()
    await school.call("AddClassMembers", members=[student("cy", "Cy")], **of_class)
    await report()
    assert rosters == [{"ana", "bo", "cy"}, {"ana", "bo"}, {"ana", "bo", "cy"}]
    assert [set(await register.records(as_of_time=time)) for time in times] == rosters


async def test_as_of_a_time_before_a_mark_there_is_none(register: Register) -> None:
    await register.report(ENDED)
    moment = Timestamp()
    moment.GetCurrentTime()
    await register.mark(("ana", LATE))
    await register.mark(("ana", EXCUSED))
    [change, _] = await register.changes()
    found = [
        (await register.records(as_of_time=time))["ana"].status for time in (moment, change.change_time, None)
    ]
    assert found == [ABSENT, LATE, EXCUSED]


async def test_who_is_there_is_judged_as_if_it_ended_now(register: Register) -> None:
    await register.report(ACTIVE, (0, None))
    await register.came("ana", (0, None))
    await register.came("bo", (0, 60))
    assert await register.statuses() == {"ana": PRESENT, "bo": LEFT_EARLY, "cy": ABSENT}


async def test_records_of_a_session_come_in_pages_by_name(register: Register) -> None:
    await register.report(ENDED)
    for name in ("zoe", "Abel", "dan"):
        await register.came(name, (0, 50))
    names, token, pages = [], "", 0
    while pages == 0 or token:
        page = await register.call("ListAttendance", page_size=2, page_token=token)
        names += [record.display_name for record in page.records]
        token, pages = page.next_page_token, pages + 1
    assert (names, pages) == (["Abel", "Ana", "Bo", "Cy", "Dan", "Zoe"], 3)
    present = await register.records(statuses=[PRESENT])
    assert list(present) == ["Abel", "dan", "zoe"]
    first = await register.call("ListAttendance", page_size=2)
    other = register.call("ListAttendance", page_token=first.next_page_token, statuses=[PRESENT])
    assert await reason_of(other) is Reason.PAGE_TOKEN_INVALID


async def test_before_the_start_nothing_is_known(register: Register) -> None:
    await register.report(presence_pb.SCOPE_PHASE_EXPECTED)
    await register.came("ana", (0, 50))
    assert await register.statuses() == {"ana": 0, "bo": 0, "cy": 0}


async def test_a_cancelled_session_has_no_attendance(register: Register) -> None:
    await register.report(presence_pb.SCOPE_PHASE_CANCELLED)
    await register.came("ana", (0, 50))
    assert set((await register.statuses()).values()) == {0}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scope": Scope(kind=SCOPE_KIND_ORGANIZATION)}, "scope.kind"),
        ({"scope": Scope(kind=SCOPE_KIND_WORKOUT)}, "scope.scope_id"),
        ({"revision": 0}, "revision"),
        ({"host_user_id": ""}, "host_user_id"),
        ({"class_ids": ["a", "a"]}, "class_ids"),
    ],
)
async def test_a_report_of_nothing_is_refused(
    register: Register, fields: dict[str, object], field: str
) -> None:
    refused = await error_of(register.report(ENDED, **fields))
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, field)


@pytest.mark.parametrize("spans", [[(10, 5)], [(0, None), (10, 20)], [(0, 20), (10, 30)]])
async def test_active_times_follow_each_other(
    register: Register, spans: list[tuple[float, float | None]]
) -> None:
    refused = await error_of(register.report(ENDED, *spans))
    assert refused.reason is Reason.INVALID_FIELD
    assert refused.violations[0].field == f"active_spans[{len(spans) - 1 if spans[0][1] else 0}]"


async def test_a_service_of_another_organization_reports_nothing(register: Register) -> None:
    stranger = register.house.service("tests", organization="elsewhere")
    assert await reason_of(register.report(ENDED, by=stranger)) is Reason.PERMISSION_DENIED


async def test_records_of_a_student_and_a_class_go_over_sessions(house: House) -> None:
    register = await new_register(house)
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    second = Register(register.school, await register.school.session([register.class_id]), register.class_id)
    await second.report(ENDED, (5, 55))
    for each in (register, second):
        # A mark is a record, settled or not.
        await each.mark(("bo", PRESENT), ("ana", LATE))
    own = await register.call("ListAttendance", user_id="ana", by=register.school.user("ana"))
    assert [record.session_id for record in own.records] == [second.session_id, register.session_id]
    first = await register.call("ListAttendance", user_id="ana", page_size=1)
    rest = await register.call("ListAttendance", user_id="ana", page_size=1, page_token=first.next_page_token)
    assert [first.records[0], rest.records[0]] == list(own.records)
    assert not rest.next_page_token
    of_class = await register.call("ListAttendance", class_id=register.class_id)
    assert [record.user_id for record in of_class.records] == ["ana", "ana", "bo", "bo"]
    late = await register.call("ListAttendance", class_id=register.class_id, statuses=[LATE], page_size=1)
    assert [record.user_id for record in late.records] == ["ana"]
    since = await register.call("ListAttendance", user_id="ana", start_time=minute(5))
    assert [record.session_id for record in since.records] == [second.session_id]
    until = await register.call("ListAttendance", user_id="ana", end_time=minute(5))
    assert [record.session_id for record in until.records] == [register.session_id]
    refused = await error_of(register.call("ListAttendance", user_id="ana", as_of_time=minute(5)))
    assert refused.violations[0].field == "as_of_time"
