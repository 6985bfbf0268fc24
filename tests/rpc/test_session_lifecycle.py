"""The life of a session over gRPC: its moves, their history and events, and what other verbs refuse."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from muster.session.v1 import session_pb2
from muster_kit.errors import Reason

from tests.quickness import assert_quick
from tests.rpc.house import House, reason_of
from tests.rpc.lessons import STATUS, Lesson, new_lesson
from tests.waiting import until

VERBS = {
    "ScheduleSession": {"draft", "scheduled"},
    "OpenLobby": {"draft", "scheduled"},
    "StartSession": {"waiting"},
    "PauseSession": {"active"},
    "ResumeSession": {"paused"},
    "EndSession": {"active", "paused"},
    "CancelSession": {"draft", "scheduled", "waiting"},
    "DeleteSession": {"draft", "ended", "cancelled"},
}
PATHS = {
    "draft": [],
    "scheduled": ["ScheduleSession"],
    "waiting": ["OpenLobby"],
    "active": ["OpenLobby", "StartSession"],
    "paused": ["OpenLobby", "StartSession", "PauseSession"],
    "ended": ["OpenLobby", "StartSession", "EndSession"],
    "cancelled": ["CancelSession"],
}


async def call(lesson: Lesson, verb: str) -> object:
    fields = {"scheduled_time": datetime.now(UTC) + timedelta(hours=1)} if verb == "ScheduleSession" else {}
    return await lesson.call(verb, **fields)


async def lesson_in(house: House, status: str) -> Lesson:
    lesson = await new_lesson(house)
    for verb in PATHS[status]:
        await call(lesson, verb)
    return lesson


@pytest.mark.parametrize(("status", "verb"), [p for p in product(PATHS, VERBS) if p[0] not in VERBS[p[1]]])
async def test_a_move_that_is_not_drawn_is_refused_and_changes_nothing(
    house: House, status: str, verb: str
) -> None:
    lesson = await lesson_in(house, status)
    before = await lesson.session()
    assert await reason_of(call(lesson, verb)) is Reason.SESSION_STATUS
    assert await lesson.session() == before


async def test_a_whole_life_is_kept_with_who_and_why(house: House) -> None:
    lesson = await new_lesson(house)
    await call(lesson, "ScheduleSession")
    for verb in ("OpenLobby", "StartSession", "PauseSession", "ResumeSession", "EndSession"):
        await lesson.call(verb, reason=f"because of {verb}")
    changes = (await lesson.call("ListStatusChanges")).changes
    walked = ["draft", "scheduled", "waiting", "active", "paused", "active", "ended"]
    assert [change.new_status for change in changes] == [STATUS[status] for status in walked]
    assert [change.old_status for change in changes] == [0, *(STATUS[status] for status in walked[:-1])]
    assert [change.reason for change in changes][2:4] == ["because of OpenLobby", "because of StartSession"]
    assert {change.changed_by_user_id for change in changes} == {"host"}
    times = [change.change_time.ToDatetime() for change in changes]
    assert times == sorted(times)


async def test_every_move_is_an_event(house: House) -> None:
    lesson = await lesson_in(house, "ended")
    moves = [event.status_changed for event in await lesson.events()]
    assert [move.session.status for move in moves] == [STATUS[s] for s in ("waiting", "active", "ended")]
    assert moves[0].session.join_code
    assert moves[0].change.new_status == STATUS["waiting"]


async def test_a_session_knows_its_times(house: House) -> None:
    session = await (await lesson_in(house, "ended")).session()
    times = [session.create_time, session.start_time, session.end_time]
    assert [time.ToNanoseconds() for time in times] == sorted(time.ToNanoseconds() for time in times)
    assert session.start_time.seconds


async def test_the_lobby_opens_by_itself_when_its_time_has_come(house: House) -> None:
    async def seconds_late() -> float:
        lesson = await new_lesson(house)
        async with lesson.watch() as watch:
            due = datetime.now(UTC) + timedelta(seconds=2)
            scheduled = await lesson.call("ScheduleSession", scheduled_time=due)
            assert scheduled.session.scheduled_time.ToDatetime(UTC) == due
            scheduling = await watch.event("status_changed")
            assert scheduling.session == scheduled.session
            opening = await watch.event("status_changed", change=await _last_change(lesson, "waiting"))
        assert len(opening.session.join_code) == 6
        assert opening.change.changed_by_user_id == ""
        late: timedelta = opening.change.change_time.ToDatetime(UTC) - due
        assert late >= timedelta(0)
        return late.total_seconds()

    await assert_quick(1, seconds_late)


async def _last_change(lesson: Lesson, status: str) -> object:
    async def moved() -> bool:
        return (await lesson.session()).status == STATUS[status]

    await until(moved)
    return (await lesson.call("ListStatusChanges")).changes[-1]


async def test_a_new_time_replaces_the_old_one(house: House) -> None:
    lesson = await new_lesson(house)
    now = datetime.now(UTC)
    await lesson.call("ScheduleSession", scheduled_time=now + timedelta(minutes=1))
    await lesson.call("ScheduleSession", scheduled_time=now + timedelta(hours=1))
    await lesson.call("CancelSession")
    assert (
        await reason_of(lesson.call("ScheduleSession", scheduled_time=now + timedelta(hours=2)))
        is Reason.SESSION_STATUS
    )


async def test_the_past_is_no_time_to_open_a_lobby(house: House) -> None:
    lesson = await new_lesson(house)
    past = lesson.call("ScheduleSession", scheduled_time=datetime.now(UTC) - timedelta(seconds=1))
    assert await reason_of(past) is Reason.INVALID_FIELD


async def test_a_deleted_session_is_gone(house: House) -> None:
    lesson = await new_lesson(house, blocks=2)
    await lesson.call("DeleteSession")
    assert await reason_of(lesson.session()) is Reason.NOT_FOUND
    assert await reason_of(lesson.call("OpenLobby")) is Reason.NOT_FOUND


async def test_settings_change_and_their_revision_grows(house: House) -> None:
    lesson = await new_lesson(house)
    before = await lesson.session()
    settings = session_pb2.SessionSettings(
        title="Another", visibility=session_pb2.SESSION_VISIBILITY_PUBLIC, max_participants=7
    )
    updated = (await lesson.call("UpdateSession", settings=settings)).session
    assert updated.settings == settings
    assert updated.revision == before.revision + 1
    assert [event.session_updated.session for event in await lesson.events()] == [updated]


async def test_some_settings_are_fixed_by_the_start(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.start()
    settings = (await lesson.session()).settings
    settings.late_join_allowed = True
    await lesson.call("UpdateSession", settings=settings)
    settings.parallel_blocks_allowed = True
    assert await reason_of(lesson.call("UpdateSession", settings=settings)) is Reason.SESSION_STATUS


async def test_a_session_that_is_over_keeps_its_settings(house: House) -> None:
    lesson = await lesson_in(house, "ended")
    settings = (await lesson.session()).settings
    assert await reason_of(lesson.call("UpdateSession", settings=settings)) is Reason.SESSION_STATUS


@pytest.mark.parametrize(
    "verb", ["UpdateSession", "OpenLobby", "StartSession", "PauseSession", "EndSession", "DeleteSession"]
)
async def test_a_stale_revision_is_refused(house: House, verb: str) -> None:
    status = {"StartSession": "waiting", "PauseSession": "active", "EndSession": "active"}.get(verb, "draft")
    lesson = await lesson_in(house, status)
    session = await lesson.session()
    fields = {"settings": session.settings} if verb == "UpdateSession" else {}
    stale = lesson.call(verb, expected_revision=session.revision + 1, **fields)
    assert await reason_of(stale) is Reason.REVISION_STALE
    await lesson.call(verb, expected_revision=session.revision, **fields)


async def test_a_limit_above_that_of_the_deployment_is_refused(house: House) -> None:
    lesson = await new_lesson(house)
    settings = (await lesson.session()).settings
    settings.max_participants = 1001
    assert await reason_of(lesson.call("UpdateSession", settings=settings)) is Reason.INVALID_FIELD
