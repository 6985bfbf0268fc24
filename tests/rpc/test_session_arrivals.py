"""Streams that come at once: few reads for all of them, and nobody in whose seat was taken before."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from muster.session.v1 import session_service_pb2 as pb
from muster_kit.db import Database
from muster_kit.errors import MusterError, Reason
from muster_session.arrivals import Arrivals
from muster_session.model import Participant, Session
from muster_session.store_postgres_directory import PostgresDirectory
from sqlalchemy import event

from tests.conftest import TestStores
from tests.rpc.house import House, house_over, reason_of
from tests.rpc.lessons import Lesson, Seat, new_lesson

CLASS_SIZE = 30


async def lesson_with(house: House, seats: int) -> tuple[Lesson, list[Seat]]:
    """Return an open lesson and those who joined it."""
    lesson = await new_lesson(house)
    await lesson.open()
    return lesson, [await lesson.join(f"user-{number}") for number in range(seats)]


async def first_frame(lesson: Lesson, seat: Seat) -> Any:
    request = pb.WatchSessionRequest(session_id=lesson.session_id, max_frames=1)
    (frame,) = [frame async for frame in lesson.house.sessions.WatchSession(request, metadata=seat.ticket)]
    return frame


@contextmanager
def counted(database: Database) -> Iterator[Counter[str]]:
    """Count a database's statements by the table they read first."""
    counts: Counter[str] = Counter()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counts[statement.partition("FROM ")[2].split()[0] if "FROM " in statement else ""] += 1

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield counts
    finally:
        event.remove(engine, "before_cursor_execute", note)


@asynccontextmanager
async def arriving(url: str, gather_seconds: float = 0.02) -> AsyncIterator[tuple[Arrivals, Database]]:
    database = Database.open(url, pool_size=4)
    arrivals = Arrivals(PostgresDirectory(database, database), gather_seconds=gather_seconds)
    try:
        yield arrivals, database
    finally:
        await arrivals.close()
        await database.close()


async def find(arrivals: Arrivals, lesson: Lesson, seat_id: str) -> tuple[Session, Participant | None] | None:
    return await arrivals.find_with_seat(lesson.organization, lesson.session_id, participant_id=seat_id)


async def test_a_class_that_comes_at_once_is_read_with_few_statements(house: House) -> None:
    lesson, seats = await lesson_with(house, CLASS_SIZE)
    app: Any = house.apps["session"]
    with counted(app._stores.database) as counts:
        frames = await asyncio.gather(*(first_frame(lesson, seat) for seat in seats))
    assert all(frame.HasField("snapshot") for frame in frames)
    # What is left is the log's and the snapshot's reads, a read at once, and one for all who came meanwhile.
    assert counts.total() < CLASS_SIZE


async def test_everybody_gets_their_own_seat(house: House) -> None:
    lesson, seats = await lesson_with(house, 3)
    asked = [*(seat.id for seat in seats), seats[0].id, "nobody's"]
    async with arriving(house.urls.app_url) as (arrivals, database):
        with counted(database) as counts:
            found = await asyncio.gather(*(find(arrivals, lesson, seat_id) for seat_id in asked))
    assert [each[1] and each[1].participant_id for each in found if each] == [*asked[:-1], None]
    assert {each[0].session_id for each in found if each} == {lesson.session_id}
    assert counts["session.participant"] == 1


async def test_what_is_not_the_organizations_is_not_there(house: House) -> None:
    lesson, (ana,) = await lesson_with(house, 1)
    async with arriving(house.urls.app_url) as (arrivals, _):
        found = await asyncio.gather(
            arrivals.find_with_seat("another", lesson.session_id, participant_id=ana.id),
            arrivals.find_with_seat(lesson.organization, "another", participant_id=ana.id),
            arrivals.find_with_seat(lesson.organization, lesson.session_id, participant_id=ana.id),
        )
    assert [each is None for each in found] == [True, True, False]


async def test_a_read_never_tells_what_was_before_one_asked(house: House) -> None:
    lesson, (ana, ben) = await lesson_with(house, 2)

    async def keep_coming(arrivals: Arrivals) -> None:
        while True:
            await find(arrivals, lesson, ben.id)

    async def is_present(arrivals: Arrivals) -> bool:
        found = await find(arrivals, lesson, ana.id)
        return found is not None and found[1] is not None and found[1].is_present

    async with arriving(house.urls.app_url) as (arrivals, _):
        coming = asyncio.create_task(keep_coming(arrivals))
        assert await is_present(arrivals)
        await lesson.call("KickParticipant", participant_id=ana.id)
        assert not await is_present(arrivals)
        coming.cancel()
        with suppress(asyncio.CancelledError):
            await coming


async def test_a_seat_that_was_taken_away_is_not_let_in_with_the_crowd(
    house: House, stores: TestStores
) -> None:
    lesson, (ana, *others) = await lesson_with(house, 8)
    # It hears no revocation: what it knows of seats, it knows from the store.
    async with house_over(stores, house.urls, house.directory, redis_url="redis://127.0.0.1:1") as deaf:
        there = Lesson(deaf, lesson.organization, lesson.host, lesson.session_id)
        await asyncio.gather(*(first_frame(there, seat) for seat in (ana, *others)))
        await lesson.call("KickParticipant", participant_id=ana.id)
        crowd = [asyncio.create_task(first_frame(there, seat)) for seat in others]
        assert await reason_of(first_frame(there, ana)) is Reason.TICKET_REVOKED
        await asyncio.gather(*crowd)


async def test_a_store_that_is_away_is_told_to_all_who_wait(house: House) -> None:
    lesson, (ana, ben) = await lesson_with(house, 2)
    async with arriving("postgresql://nobody@127.0.0.1:1/nothing") as (arrivals, _):
        told = await asyncio.gather(
            *(find(arrivals, lesson, seat.id) for seat in (ana, ben)), return_exceptions=True
        )
    assert [each.reason for each in told if isinstance(each, MusterError)] == [Reason.UNAVAILABLE] * 2


async def test_who_leaves_while_waiting_costs_the_others_nothing(house: House) -> None:
    lesson, (ana, ben) = await lesson_with(house, 2)
    async with arriving(house.urls.app_url) as (arrivals, _):
        leaving, staying = (asyncio.create_task(find(arrivals, lesson, seat.id)) for seat in (ana, ben))
        await asyncio.sleep(0)
        leaving.cancel()
        found = await staying
    assert found is not None
    assert found[1] is not None
