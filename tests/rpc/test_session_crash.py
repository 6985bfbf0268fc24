"""A move is finished although scoring fails, the reply is lost, or the process dies half-way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from muster.session.v1 import block_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.conftest import TestStores
from tests.rpc.house import House, house_over, open_house, reason_of
from tests.rpc.lessons import STATUS, Lesson, new_lesson, request_id, seconds, true_false
from tests.rpc.scoring_gate import Trouble
from tests.waiting import until

PENDING, ACTIVE, CLOSED, SKIPPED = (
    getattr(block_pb2, f"BLOCK_STATUS_{name}") for name in ("PENDING", "ACTIVE", "CLOSED", "SKIPPED")
)
AWAY = grpc.StatusCode.UNAVAILABLE
MOVES = {
    "ActivateBlock": "OpenRound",
    "CloseBlock": "CloseRound",
    "SkipBlock": "CancelRound",
    "PauseSession": "PauseRounds",
    "ResumeSession": "ResumeRounds",
    "EndSession": "CloseRound",
}
EVENTS = {
    "ActivateBlock": "block_activated",
    "CloseBlock": "block_closed",
    "SkipBlock": "block_skipped",
    "PauseSession": "status_changed",
    "ResumeSession": "status_changed",
    "EndSession": "status_changed",
}


@pytest.fixture(scope="module")
async def module_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(stores, tmp_path_factory.mktemp("crash")) as house:
        yield house


@pytest.fixture
def own_house(module_house: House) -> Iterator[House]:
    """A house whose scoring a test may spoil, as it is nobody else's at the time."""
    yield module_house
    module_house.gate.troubles.clear()


async def lesson_before(house: House, rpc: str) -> Lesson:
    """Return a lesson in which the move can be made."""
    lesson = await new_lesson(house, blocks=2)
    await lesson.start()
    if rpc != "ActivateBlock":
        await lesson.block_call("ActivateBlock", time_limit=seconds(60))
    if rpc == "ResumeSession":
        await lesson.call("PauseSession")
    return lesson


async def make(lesson: Lesson, rpc: str, **fields: object) -> object:
    if rpc.endswith("Block"):
        return await lesson.block_call(rpc, block_id=lesson.block_ids[0], **fields)
    return await lesson.call(rpc, **fields)


async def state(lesson: Lesson) -> tuple[object, ...]:
    session, blocks = await lesson.session(), await lesson.blocks()
    return session.status, session.active_block_id, [block.status for block in blocks]


AFTER = {
    "ActivateBlock": (STATUS["active"], True, [ACTIVE, PENDING]),
    "CloseBlock": (STATUS["active"], False, [CLOSED, PENDING]),
    "SkipBlock": (STATUS["active"], False, [SKIPPED, PENDING]),
    "PauseSession": (STATUS["paused"], True, [ACTIVE, PENDING]),
    "ResumeSession": (STATUS["active"], True, [ACTIVE, PENDING]),
    "EndSession": (STATUS["ended"], False, [CLOSED, PENDING]),
}


async def is_made(lesson: Lesson, rpc: str) -> bool:
    status, active, blocks = await state(lesson)
    return (status, bool(active), blocks) == AFTER[rpc]


async def count(lesson: Lesson, rpc: str) -> int:
    return sum(event.WhichOneof("event") == EVENTS[rpc] for event in await lesson.events())


@pytest.mark.parametrize("rpc", MOVES)
async def test_a_lost_reply_does_no_harm(own_house: House, rpc: str) -> None:
    lesson = await lesson_before(own_house, rpc)
    before = await count(lesson, rpc)
    # As often as the channel tries by itself.
    own_house.gate.troubles[MOVES[rpc]] = Trouble(AWAY, reply_lost=True, left=2)
    await make(lesson, rpc)
    assert await is_made(lesson, rpc)
    assert await count(lesson, rpc) == before + 1


@pytest.mark.parametrize("rpc", MOVES)
async def test_a_move_that_scoring_did_not_answer_is_finished_by_whoever_asks_again(
    own_house: House, rpc: str
) -> None:
    lesson = await lesson_before(own_house, rpc)
    before, asked = await count(lesson, rpc), request_id()
    own_house.gate.troubles[MOVES[rpc]] = Trouble(AWAY)
    assert await reason_of(make(lesson, rpc, request_id=asked)) is Reason.UNAVAILABLE
    assert not await is_made(lesson, rpc)
    own_house.gate.troubles.clear()
    first = await make(lesson, rpc, request_id=asked)
    assert await is_made(lesson, rpc)
    assert await make(lesson, rpc, request_id=asked) == first
    assert await count(lesson, rpc) == before + 1


@pytest.mark.parametrize("rpc", MOVES)
async def test_a_move_whose_process_died_is_finished_by_another(
    own_house: House, stores: TestStores, tmp_path: Path, rpc: str
) -> None:
    lesson = await lesson_before(own_house, rpc)
    before = await count(lesson, rpc)
    trouble = own_house.gate.troubles[MOVES[rpc]] = Trouble(release=asyncio.Event())
    async with house_over(stores, own_house.urls, own_house.directory) as dying:
        dying.gate.troubles[MOVES[rpc]] = trouble
        await dying.apps["session"]._deadlines.drain()
        there = Lesson(dying, lesson.organization, lesson.host, lesson.session_id, lesson.block_ids)
        call = asyncio.ensure_future(make(there, rpc))
        # Between the two transactions: the intent is stored, and scoring has not heard of it.
        await asyncio.wait_for(trouble.met.wait(), 30)
        assert not await is_made(lesson, rpc)
        own_house.gate.troubles.clear()
        await hurry(own_house, lesson)
        await until(lambda: is_made(lesson, rpc))
        # The dead may rise again: what they were about to do has been done.
        trouble.release.set()
        await finished_or_given_up(call)
    assert await is_made(lesson, rpc)
    assert await count(lesson, rpc) == before + 1


async def finished_or_given_up(call: asyncio.Future[object]) -> None:
    """Wait for a move's answer; on a busy machine it was asked for longer ago than a call may take."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        told = received(error)
        assert told is not None
        assert told.reason is Reason.UNAVAILABLE


async def hurry(house: House, lesson: Lesson) -> None:
    """Make the deadline of the open move due now, rather than in some seconds."""
    await house.rows(
        "UPDATE session.deadline SET fire_time = now() WHERE room_id = :id AND key ~ '^finish:' RETURNING 1",
        id=lesson.session_id,
    )


@pytest.mark.parametrize("rpc", sorted(MOVES.keys() - {"ResumeSession", "PauseSession", "EndSession"}))
async def test_what_is_found_half_way_is_finished_first(own_house: House, rpc: str) -> None:
    lesson = await lesson_before(own_house, rpc)
    own_house.gate.troubles[MOVES[rpc]] = Trouble(AWAY)
    assert await reason_of(make(lesson, rpc)) is Reason.UNAVAILABLE
    own_house.gate.troubles.clear()
    await lesson.call("PauseSession")
    status, _, blocks = await state(lesson)
    assert (status, blocks) == (STATUS["paused"], AFTER[rpc][2])


@pytest.mark.parametrize("rpc", ["UpdateBlock", "DeleteBlock", "ReorderBlocks"])
async def test_a_block_that_is_being_opened_is_not_pending_any_more(own_house: House, rpc: str) -> None:
    lesson = await lesson_before(own_house, "ActivateBlock")
    own_house.gate.troubles["OpenRound"] = Trouble(AWAY)
    assert await reason_of(make(lesson, "ActivateBlock")) is Reason.UNAVAILABLE
    own_house.gate.troubles.clear()
    fields = {
        "UpdateBlock": {"block_id": lesson.block_ids[0], "block": true_false()},
        "DeleteBlock": {"block_id": lesson.block_ids[0]},
        "ReorderBlocks": {"block_ids": lesson.block_ids[::-1]},
    }[rpc]
    assert await reason_of(lesson.block_call(rpc, **fields)) is Reason.BLOCK_STATUS
    assert await is_made(lesson, "ActivateBlock")


@pytest.mark.parametrize("rpc", MOVES)
async def test_a_move_that_scoring_refuses_leaves_everything_as_it_was(own_house: House, rpc: str) -> None:
    lesson = await lesson_before(own_house, rpc)
    before, events = await state(lesson), len(await lesson.events())
    own_house.gate.troubles[MOVES[rpc]] = Trouble(grpc.StatusCode.PERMISSION_DENIED)
    asked = request_id()
    # What services think of each other is a fault of ours, and nothing for who called.
    assert await reason_of(make(lesson, rpc, request_id=asked)) is Reason.INTERNAL
    assert await state(lesson) == before
    assert len(await lesson.events()) == events
    own_house.gate.troubles.clear()
    assert await reason_of(make(lesson, rpc, request_id=asked)) is Reason.INTERNAL
    await make(lesson, rpc)
    assert await is_made(lesson, rpc)


async def test_time_spent_on_waiting_for_scoring_is_not_taken_from_the_participants(own_house: House) -> None:
    lesson = await lesson_before(own_house, "ActivateBlock")
    own_house.gate.troubles["OpenRound"] = Trouble(AWAY)
    asked = request_id()
    first = make(lesson, "ActivateBlock", request_id=asked, time_limit=seconds(10))
    assert await reason_of(first) is Reason.UNAVAILABLE
    begun = await own_house.rows("SELECT max(begin_time) FROM session.transition")
    own_house.gate.troubles.clear()
    block = (await make(lesson, "ActivateBlock", request_id=asked, time_limit=seconds(10))).block
    assert block.open_time.ToNanoseconds() > begun[0][0].timestamp() * 1e9
    assert (block.close_time.ToNanoseconds() - block.open_time.ToNanoseconds()) == 10_000_000_000


async def test_a_block_whose_round_scoring_has_lost_can_still_be_closed(own_house: House) -> None:
    lesson = await lesson_before(own_house, "EndSession")
    own_house.gate.troubles["CloseRound"] = Trouble(grpc.StatusCode.NOT_FOUND)
    assert await reason_of(lesson.call("EndSession")) is Reason.INTERNAL
    own_house.gate.troubles["CloseRound"].told = Reason.NOT_FOUND
    await lesson.call("EndSession")
    assert await is_made(lesson, "EndSession")


async def test_the_clock_tries_again_until_scoring_is_back(own_house: House) -> None:
    lesson = await new_lesson(own_house, blocks=1)
    await lesson.start()
    trouble = own_house.gate.troubles["CloseRound"] = Trouble(AWAY, left=5)
    async with lesson.watch() as watch:
        await lesson.block_call("ActivateBlock", time_limit=seconds(1))
        await asyncio.wait_for(trouble.met.wait(), 30)
        closed = await watch.event("block_closed", seconds=15)
    assert closed.by_deadline
    assert len([e for e in await lesson.events() if e.HasField("block_closed")]) == 1
