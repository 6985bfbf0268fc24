"""Who belongs to a session is told where it stands, whatever happens to presence meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from muster.presence.v1 import inbox_pb2
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_presence.app import build
from muster_session import usecases_notices
from muster_stack.hosting import Host

from tests.conftest import TestStores
from tests.rpc.house import House, Metadata, _free_port, house_over, prepare
from tests.rpc.lessons import Lesson
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_inbox import Listener, caught_up, events_of, listening, waiting_for
from tests.rpc.school import School, student

OPEN, STARTED = inbox_pb2.START_STAGE_OPEN, inbox_pb2.START_STAGE_STARTED
ENDED, CANCELLED = inbox_pb2.START_STAGE_ENDED, inbox_pb2.START_STAGE_CANCELLED


async def lesson_for(house: House, *students: str) -> Lesson:
    """Make a session for a class of an organization of its own."""
    school = School(house)
    class_id = await school.make(members=[student(name) for name in students])
    return Lesson(house, school.organization, school.tess, await school.session([class_id]))


def gathering_of(lesson: Lesson) -> Gathering:
    """The same session, as those who are present in it have it."""
    return Gathering(lesson.house, lesson.organization, lesson.session_id)


async def stages_told(lesson: Lesson, who: Metadata, *, after: bytes = b"") -> list[int]:
    """Return what somebody was told since a cursor."""
    listener = await caught_up(gathering_of(lesson), who, after=after)
    return [event.start.stage for event in events_of(listener)]


async def settled(lesson: Lesson) -> None:
    """Wait until nobody is left to be told anything."""
    query = "SELECT 1 FROM session.deadline WHERE room_id = :session AND key IN ('notice', 'farewell')"

    async with asyncio.timeout(40):
        while await lesson.house.rows(query, session=lesson.session_id):  # noqa: ASYNC110 - a store is asked
            await asyncio.sleep(0.1)


async def next_stage(listener: Listener, stage: int) -> Any:
    """Read on until a stage is told."""
    while True:
        for event in (await listener.until("events")).events:
            if event.start.stage == stage:
                return event


async def test_a_start_reaches_who_is_connected_within_a_second(house: House) -> None:
    lesson = await lesson_for(house, "ana")
    await lesson.open()
    bo = await lesson.join("bo")
    async with (
        listening(house, lesson.user("ana")) as ana,
        listening(house, bo.ticket) as guest,
    ):
        begun = time.monotonic()
        await lesson.call("StartSession")
        told = [await next_stage(each, STARTED) for each in (ana, guest)]
        assert time.monotonic() - begun < 1
    session = await lesson.session()
    for event in told:
        assert event.start.scope == gathering_of(lesson).scope
        assert event.start.title == "Lesson"
        taken = event.start.stage_time.ToDatetime() - session.start_time.ToDatetime()
        assert abs(taken.total_seconds()) < 1


async def test_who_belongs_is_told_of_the_whole_life_and_nobody_else(house: House) -> None:
    lesson = await lesson_for(house, "ana")
    people = {name: lesson.user(name) for name in ("ana", "stranger")} | {"host": lesson.host}
    cursors = {name: (await caught_up(gathering_of(lesson), who)).cursor for name, who in people.items()}
    for move in ("OpenLobby", "StartSession", "PauseSession", "ResumeSession"):
        await lesson.call(move)
        await settled(lesson)
    snapshot = await waiting_for(gathering_of(lesson), people["ana"])
    assert [each.stage for each in snapshot.starts] == [STARTED]
    await lesson.call("EndSession")
    await settled(lesson)
    assert not (await waiting_for(gathering_of(lesson), people["ana"])).starts
    told = {name: await stages_told(lesson, who, after=cursors[name]) for name, who in people.items()}
    assert told == {"ana": [OPEN, STARTED, ENDED], "stranger": [], "host": []}


async def test_who_came_to_the_lobby_hears_that_it_was_called_off(house: House) -> None:
    lesson = await lesson_for(house)
    await lesson.open()
    bo = await lesson.join("bo")
    cursor = (await caught_up(gathering_of(lesson), bo.user)).cursor
    await lesson.call("CancelSession")
    await settled(lesson)
    assert await stages_told(lesson, bo.user, after=cursor) == [CANCELLED]


async def test_who_has_left_or_was_sent_away_is_not_told_of_the_start(house: House) -> None:
    lesson = await lesson_for(house)
    await lesson.open()
    left, kicked, stays = [await lesson.join(name) for name in ("left", "kicked", "stays")]
    cursors = [(await caught_up(gathering_of(lesson), seat.user)).cursor for seat in (left, kicked, stays)]
    await lesson.call("LeaveSession", by=left.ticket)
    await lesson.call("KickParticipant", participant_id=kicked.id)
    await lesson.call("StartSession")
    await settled(lesson)
    told = [
        await stages_told(lesson, seat.user, after=cursor)
        for seat, cursor in zip((left, kicked, stays), cursors, strict=True)
    ]
    assert told == [[], [], [STARTED]]


async def test_a_large_class_is_told_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usecases_notices, "_USERS_A_CALL", 2)
    names = [f"student-{number}" for number in range(6)]
    lesson = await lesson_for(house, *names)
    cursors = {name: (await caught_up(gathering_of(lesson), lesson.user(name))).cursor for name in names}
    await lesson.open()
    await settled(lesson)
    for name in names:
        assert await stages_told(lesson, lesson.user(name), after=cursors[name]) == [OPEN]


@asynccontextmanager
async def presence_at(house: House, address: str) -> AsyncIterator[House]:
    """Run presence at an address, and give the house that calls it there."""
    settings = house.settings.model_copy(update={"listen": address})
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(Host(settings, [build(settings)]))
        channel = await exits.enter_async_context(grpc.aio.insecure_channel(address))
        yield replace(house, presence=PresenceServiceStub(channel))


async def test_a_presence_that_is_away_delays_no_call_and_loses_nothing(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    urls = await stores.copy_of("house", prepare)
    address = f"127.0.0.1:{_free_port()}"
    directory = tmp_path_factory.mktemp("house")
    async with house_over(stores, urls, directory, presence_address=address) as house:
        lesson = await lesson_for(house, "ana")
        cursor = (await caught_up(gathering_of(lesson), lesson.user("ana"))).cursor
        took: Sequence[float] = [await seconds_of(lesson, move) for move in ("OpenLobby", "StartSession")]
        assert max(took) < 1
        assert await stages_told(lesson, lesson.user("ana"), after=cursor) == []
        async with presence_at(house, address):
            await settled(lesson)
        # That the doors were open is no news any more, unless somebody was about to tell it.
        told = await stages_told(lesson, lesson.user("ana"), after=cursor)
        assert [stage for stage in told if stage != OPEN] == [STARTED] == told[-1:]
    await stores.drop_database(urls)


async def seconds_of(lesson: Lesson, move: str) -> float:
    """Make a move, and return how long the caller waited for it."""
    begun = time.monotonic()
    await lesson.call(move)
    return time.monotonic() - begun


async def test_the_end_of_a_session_that_has_been_removed_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usecases_notices, "_USERS_A_CALL", 2)
    names = ["ana", "bo", "cy"]
    lesson = await lesson_for(house, *names)
    await lesson.open()
    guest = await lesson.join("guest")
    await lesson.call("StartSession")
    await settled(lesson)
    people = [*map(lesson.user, names), guest.user]
    cursors = [(await caught_up(gathering_of(lesson), who)).cursor for who in people]
    with monkeypatch.context() as busy:
        # As while presence does not answer.
        busy.setattr(usecases_notices, "_MOST_AT_ONCE", 0)
        await lesson.call("EndSession")
        await lesson.call("DeleteSession")
    await settled(lesson)
    for who, cursor in zip(people, cursors, strict=True):
        assert await stages_told(lesson, who, after=cursor) == [ENDED]
        assert not (await waiting_for(gathering_of(lesson), who)).starts


async def test_what_is_told_twice_is_heard_once(house: House) -> None:
    lesson = await lesson_for(house, "ana")
    cursor = (await caught_up(gathering_of(lesson), lesson.user("ana"))).cursor
    await lesson.open()
    await settled(lesson)
    # As after a worker that died before it could say that it was done.
    (change,) = await house.rows(
        "SELECT max(change_time) FROM session.status_change WHERE session_id = :session",
        session=lesson.session_id,
    )
    await house.rows(
        "INSERT INTO session.deadline (room_id, key, organization_id, fire_time, payload)"
        " VALUES (:session, 'notice', :organization, now(), :payload) RETURNING 1",
        session=lesson.session_id,
        organization=lesson.organization,
        payload=f"open {change[0].isoformat()} ".encode(),
    )
    await settled(lesson)
    assert await stages_told(lesson, lesson.user("ana"), after=cursor) == [OPEN]
