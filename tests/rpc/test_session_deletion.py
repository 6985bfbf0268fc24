"""A deleted session is forgotten by scoring too, whenever that is there, and its ids may be used again."""

import asyncio
from collections.abc import AsyncIterator, Iterator

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
from tests.rpc.house import House, house_over, open_house, reason_of
from tests.rpc.lessons import Lesson, Seat, new_lesson, request_id, true_false
from tests.rpc.notes import until
from tests.rpc.scoring_gate import Trouble

AWAY = grpc.StatusCode.UNAVAILABLE
ROOM_TABLES = ("room_log", "room_event", "deadline")


@pytest.fixture(scope="module")
async def module_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(stores, tmp_path_factory.mktemp("deletion")) as house:
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
    """Whether nothing is left at scoring, and the id is free."""
    rooms = [
        await lesson.house.rows(f"SELECT 1 FROM session.{table} WHERE room_id = :id", id=lesson.session_id)
        for table in ROOM_TABLES
    ]
    return not any(rooms) and not await left_at_scoring(lesson)


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


async def test_its_ids_can_be_used_again_at_once_with_an_empty_board(house: House) -> None:
    lesson, ana = await played(house)
    await lesson.call("DeleteSession")
    new = await again(lesson)
    await new.open()
    ben = await new.join("ben")
    await new.call("StartSession")
    assert await entries(new, ben) == []
    block = (await new.block_call("ActivateBlock")).block
    assert block.block_id == lesson.block_ids[0]
    await house.rounds.SubmitResponse(answer(block.block_id), metadata=ben.ticket)
    assert await entries(new, ben) == ["ben"]
    assert len(house.gate.asked("DeleteSession", lesson.session_id)) >= 1
    assert ana.id != ben.id


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
    await asyncio.wait_for(trouble.met.wait(), 5)
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
    await asyncio.wait_for(trouble.met.wait(), 5)
    assert await reason_of(again(lesson)) is Reason.UNAVAILABLE
    # For others it is an id that is taken, and they learn nothing of why.
    stranger = await new_lesson(own_house)
    foreign = Lesson(own_house, stranger.organization, stranger.host, lesson.session_id, lesson.block_ids)
    assert await reason_of(again(foreign)) is Reason.ALREADY_EXISTS
    own_house.gate.troubles.clear()
    # Whoever wants it does not wait for the next try.
    new = await again(lesson)
    assert (await new.session()).settings.title == "Again"


async def test_what_is_repeated_late_does_not_touch_the_new_session(own_house: House) -> None:
    lesson, _ = await played(own_house)
    trouble = own_house.gate.troubles["DeleteSession"] = Trouble(release=asyncio.Event(), left=1)
    await lesson.call("DeleteSession")
    await asyncio.wait_for(trouble.met.wait(), 5)
    # The first call hangs on its way; somebody else finishes the removal, and makes the session anew.
    new = await again(lesson)
    await new.open()
    ben = await new.join("ben")
    await new.call("StartSession")
    await new.block_call("ActivateBlock")
    await own_house.rounds.SubmitResponse(answer(new.block_ids[0]), metadata=ben.ticket)
    assert trouble.release is not None
    trouble.release.set()
    await new.call("EndSession")
    assert await entries(new, ben) == ["ben"]
    assert (await new.session()).settings.title == "Again"


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
