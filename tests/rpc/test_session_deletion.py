"""A deleted session is gone for all who watch it and at scoring; its id is kept while tickets may count."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from muster.scoring.v1 import answer_pb2
from muster.scoring.v1 import board_service_pb2 as boards_pb
from muster.scoring.v1 import round_service_pb2 as rounds_pb
from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.errors import Reason
from muster_session.app import SessionApp

from tests.conftest import TestStores
from tests.quickness import assert_quick
from tests.rpc.house import House, house_over, open_house, reason_of
from tests.rpc.lessons import Lesson, Seat, new_lesson, request_id, true_false
from tests.rpc.scoring_gate import Trouble
from tests.waiting import until

AWAY = grpc.StatusCode.UNAVAILABLE
TICKET_LIFETIME = timedelta(seconds=2)
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
async def module_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(stores, tmp_path_factory.mktemp("deletion")) as house:
        yield house


@pytest.fixture
async def hasty_house(stores: TestStores, tmp_path: Path) -> AsyncIterator[House]:
    """A house of the test's own, whose tickets do not last."""
    async with open_house(stores, tmp_path, ticket_lifetime=TICKET_LIFETIME) as house:
        yield house


@pytest.fixture
def own_house(module_house: House) -> Iterator[House]:
    """A house whose scoring a test may spoil, as it is nobody else's at the time."""
    yield module_house
    module_house.gate.troubles.clear()


def answer(block_id: str) -> rounds_pb.SubmitResponseRequest:
    return rounds_pb.SubmitResponseRequest(
        round_id=block_id, answer=answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True))
    )


async def played(house: House) -> tuple[Lesson, Seat]:
    """Play a session with one block, and one right answer, to its end."""
    lesson = await new_lesson(house, blocks=1)
    await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    await lesson.block_call("ActivateBlock")
    await house.rounds.SubmitResponse(answer(lesson.block_ids[0]), metadata=ana.ticket)
    await lesson.call("EndSession")
    assert await entries(lesson, ana) == ["ana"]
    return lesson, ana


async def entries(lesson: Lesson, seat: Seat) -> list[str]:
    request = boards_pb.ListEntriesRequest(board_id=lesson.session_id)
    page = await lesson.house.boards.ListEntries(request, metadata=seat.ticket)
    return [entry.display_name for entry in page.entries]


async def left_at_scoring(lesson: Lesson) -> set[str]:
    found = set()
    for table in ("session", "round", "response", "participant"):
        sql = f"SELECT 1 FROM scoring.{table} WHERE session_id = :id"
        if await lesson.house.rows(sql, id=lesson.session_id):
            found.add(table)
    return found


async def is_forgotten(lesson: Lesson) -> bool:
    """Whether nothing is left but what keeps the id."""
    sql = "SELECT 1 FROM session.room_event WHERE room_id = :id"
    has_events = await lesson.house.rows(sql, id=lesson.session_id)
    return not has_events and not await left_at_scoring(lesson) and await due(lesson) == ["release"]


async def is_released(lesson: Lesson) -> bool:
    """Whether nothing is left at all."""
    sql = "SELECT 1 FROM session.room_log WHERE room_id = :id"
    is_kept = await lesson.house.rows(sql, id=lesson.session_id)
    return not is_kept and not await due(lesson) and not await left_at_scoring(lesson)


async def due(lesson: Lesson) -> list[str]:
    """The kinds of the session's deadlines."""
    sql = "SELECT split_part(key, ':', 1) FROM session.deadline WHERE room_id = :id"
    return [kind for (kind,) in await lesson.house.rows(sql, id=lesson.session_id)]


async def again(lesson: Lesson) -> Lesson:
    """Make the session again, with the ids it had."""
    settings = session_pb2.SessionSettings(title="Again", visibility=session_pb2.SESSION_VISIBILITY_UNLISTED)
    request = pb.CreateSessionRequest(session_id=lesson.session_id, settings=settings)
    await lesson.house.sessions.CreateSession(request, metadata=lesson.host)
    new = Lesson(lesson.house, lesson.organization, lesson.host, lesson.session_id)
    await new.add(true_false(block_id=lesson.block_ids[0]))
    return new


async def test_its_answers_are_gone_as_well(house: House) -> None:
    lesson, ana = await played(house)
    assert await left_at_scoring(lesson) == {"session", "round", "response", "participant"}
    await lesson.call("DeleteSession")
    await until(lambda: is_forgotten(lesson))
    assert await entries(lesson, ana) == []
    late = house.rounds.SubmitResponse(answer(lesson.block_ids[0]), metadata=ana.ticket)
    assert await reason_of(late) is Reason.NOT_FOUND


async def test_its_id_is_free_when_no_ticket_counts_any_more(hasty_house: House) -> None:
    lesson, ana = await played(hasty_house)
    began = time.monotonic()
    await lesson.call("DeleteSession")
    # Whoever holds a ticket would be let in.
    assert await reason_of(again(lesson)) is Reason.ALREADY_EXISTS
    await until(lambda: is_released(lesson))
    assert time.monotonic() - began > TICKET_LIFETIME.total_seconds()
    new = await again(lesson)
    await new.open()
    ben = await new.join("ben")
    await new.call("StartSession")
    assert await reason_of(new.session(ana.ticket)) is Reason.TOKEN_INVALID
    assert await entries(new, ben) == []
    block = (await new.block_call("ActivateBlock")).block
    await hasty_house.rounds.SubmitResponse(answer(block.round_id), metadata=ben.ticket)
    assert await entries(new, ben) == ["ben"]


async def test_the_ids_of_its_blocks_are_free_at_once(house: House) -> None:
    lesson, _ = await played(house)
    await lesson.call("DeleteSession")
    await until(lambda: is_forgotten(lesson))
    other = await new_lesson(house)
    await other.add(true_false(block_id=lesson.block_ids[0]))
    await other.start()
    assert (await other.block_call("ActivateBlock")).block.block_id == lesson.block_ids[0]


async def test_late_word_of_a_seat_leaves_nothing_at_scoring(hasty_house: House) -> None:
    lesson = await new_lesson(hasty_house, blocks=1)
    await lesson.open()
    ana = await lesson.join("ana")
    late = hasty_house.gate.troubles["UpdateSeat"] = Trouble(release=asyncio.Event(), left=1)
    await lesson.call("KickParticipant", participant_id=ana.id)
    await asyncio.wait_for(late.met.wait(), 30)
    await lesson.call("CancelSession")
    await lesson.call("DeleteSession")
    await until(lambda: is_forgotten(lesson))
    assert late.release is not None
    late.release.set()
    await until(lambda: left_at_scoring(lesson))
    await until(lambda: is_released(lesson))


async def test_its_watches_end_at_once_in_every_process(house: House, stores: TestStores) -> None:
    async with house_over(stores, house.urls, house.directory) as other:

        async def delete() -> float:
            lesson, ana = await played(house)
            there = replace(lesson, house=other)
            async with lesson.watch() as host, there.watch(ana.ticket) as seat:
                began = time.monotonic()
                await lesson.call("DeleteSession")
                assert await host.ended() is grpc.StatusCode.NOT_FOUND
                assert await seat.ended() is grpc.StatusCode.NOT_FOUND
                return time.monotonic() - began

        await assert_quick(1, delete)


async def test_its_watches_end_where_nobody_hears_of_it(house: House, stores: TestStores) -> None:
    lesson, ana = await played(house)
    async with house_over(stores, house.urls, house.directory, redis_url=NOWHERE) as deaf:
        there = replace(lesson, house=deaf)
        async with there.watch() as host, there.watch(ana.ticket) as seat:
            await lesson.call("DeleteSession")
            assert await host.ended() is grpc.StatusCode.NOT_FOUND
            assert await seat.ended() is grpc.StatusCode.NOT_FOUND
        assert await there_is_no_watch(there, ana)


async def there_is_no_watch(lesson: Lesson, seat: Seat) -> bool:
    watch = lesson.house.sessions.WatchSession(
        pb.WatchSessionRequest(session_id=lesson.session_id), metadata=seat.ticket
    )
    return await reason_of(watch.read()) is Reason.NOT_FOUND


async def test_a_watch_of_its_board_ends(house: House) -> None:
    lesson, ana = await played(house)
    watch = house.boards.WatchBoard(
        boards_pb.WatchBoardRequest(board_id=lesson.session_id), metadata=ana.ticket
    )
    assert (await watch.read()).view.entry_count == 1
    await lesson.call("DeleteSession")

    async def to_its_end() -> None:
        while await watch.read():
            pass

    async with asyncio.timeout(10):
        assert await reason_of(to_its_end()) is Reason.NOT_FOUND


async def test_while_scoring_is_away_it_is_deleted_here_and_there_as_soon_as_that_is_back(
    own_house: House,
) -> None:
    lesson, _ = await played(own_house)
    other, cleo = await played(own_house)
    trouble = own_house.gate.troubles["DeleteSession"] = Trouble(AWAY)
    await lesson.call("DeleteSession")
    assert await reason_of(lesson.session()) is Reason.NOT_FOUND
    await asyncio.wait_for(trouble.met.wait(), 30)
    assert "response" in await left_at_scoring(lesson)
    own_house.gate.troubles.clear()
    await until(lambda: is_forgotten(lesson))
    # Nobody else's went with it.
    assert await entries(other, cleo) == ["ana"]


async def test_a_lost_reply_does_no_harm(own_house: House) -> None:
    lesson, _ = await played(own_house)
    own_house.gate.troubles["DeleteSession"] = Trouble(AWAY, reply_lost=True, left=3)
    await lesson.call("DeleteSession")
    await until(lambda: is_forgotten(lesson))
    asked = own_house.gate.asked("DeleteSession", lesson.session_id)
    assert len(asked) > 1
    assert len({request.request_id for request in asked}) == 1


async def test_the_id_stays_taken_until_scoring_has_forgotten_it(own_house: House) -> None:
    lesson, _ = await played(own_house)
    trouble = own_house.gate.troubles["DeleteSession"] = Trouble(AWAY)
    await lesson.call("DeleteSession")
    await asyncio.wait_for(trouble.met.wait(), 30)
    assert "remove" in await due(lesson)
    assert await reason_of(again(lesson)) is Reason.ALREADY_EXISTS
    # For others it is an id that is taken as well, and they learn nothing of why.
    stranger = await new_lesson(own_house)
    foreign = Lesson(own_house, stranger.organization, stranger.host, lesson.session_id, lesson.block_ids)
    assert await reason_of(again(foreign)) is Reason.ALREADY_EXISTS
    own_house.gate.troubles.clear()
    await until(lambda: is_forgotten(lesson))


async def test_a_removal_whose_process_died_is_finished_by_another(
    own_house: House, stores: TestStores
) -> None:
    lesson, _ = await played(own_house)
    async with house_over(stores, own_house.urls, own_house.directory) as dying:
        app = dying.apps["session"]
        assert isinstance(app, SessionApp)
        await app._deadlines.drain()
        there = Lesson(dying, lesson.organization, lesson.host, lesson.session_id)
        await there.call("DeleteSession")
    await until(lambda: is_forgotten(lesson))


async def test_a_session_that_was_never_played_can_be_deleted_and_a_request_be_repeated(
    house: House,
) -> None:
    lesson, asked = await new_lesson(house, blocks=1), request_id()
    await lesson.call("DeleteSession", request_id=asked)
    await lesson.call("DeleteSession", request_id=asked)
    await until(lambda: is_forgotten(lesson))
    await lesson.call("DeleteSession", request_id=asked)
    assert await reason_of(lesson.call("DeleteSession")) is Reason.NOT_FOUND
