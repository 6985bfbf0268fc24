"""Blocks open, close by host or clock, are skipped, and stand still while the session is paused."""

import asyncio
from datetime import UTC, timedelta

import grpc
import pytest
from muster.scoring.v1 import rules_pb2
from muster.session.v1 import block_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.quickness import assert_quick
from tests.rpc.house import House, reason_of
from tests.rpc.lessons import STATUS, Lesson, new_lesson, seconds, true_false

PENDING, ACTIVE, CLOSED, SKIPPED = (
    getattr(block_pb2, f"BLOCK_STATUS_{name}") for name in ("PENDING", "ACTIVE", "CLOSED", "SKIPPED")
)
MILLISECOND = timedelta(milliseconds=1)


async def running(house: House, *, blocks: int = 3, **settings: object) -> Lesson:
    lesson = await new_lesson(house, blocks=blocks, **settings)
    await lesson.start()
    return lesson


async def activate(lesson: Lesson, block_id: str = "", **fields: object) -> block_pb2.Block:
    return (await lesson.block_call("ActivateBlock", block_id=block_id, **fields)).block


async def test_a_block_opens_at_scoring_and_is_shown_to_all(house: House) -> None:
    lesson = await running(house)
    block = await activate(lesson, lesson.block_ids[1], time_limit=seconds(20))
    (opened,) = house.gate.asked("OpenRound", lesson.session_id)
    assert (opened.block_id, opened.round_id) == (block.block_id, block.round_id)
    assert opened.answer_key == block.answer_key
    assert opened.rules == rules_pb2.ScoringRules(base_points=1000)
    assert opened.host_user_id == "host"
    assert block.status == ACTIVE
    assert block.close_time.ToDatetime() - block.open_time.ToDatetime() == timedelta(seconds=20)
    assert block.time_limit == seconds(20)
    (event,) = [event.block_activated for event in await lesson.events() if event.HasField("block_activated")]
    block.ClearField("answer_key")
    assert event.block == block
    assert (await lesson.session()).active_block_id == block.block_id


async def test_without_a_name_the_next_pending_block_opens(house: House) -> None:
    lesson = await running(house, parallel_blocks_allowed=True)
    await lesson.block_call("SkipBlock", block_id=lesson.block_ids[1])
    assert [(await activate(lesson)).block_id for _ in range(2)] == [lesson.block_ids[0], lesson.block_ids[2]]
    assert await reason_of(activate(lesson)) is Reason.NOT_FOUND


async def test_the_nearest_limit_and_rules_count(house: House) -> None:
    rules = rules_pb2.ScoringRules(base_points=5)
    lesson = await new_lesson(
        house, default_time_limit=seconds(30), rules=rules, parallel_blocks_allowed=True
    )
    own = rules_pb2.ScoringRules(base_points=9, multiplier=2)
    await lesson.add(true_false(), true_false(time_limit=seconds(10), rules=own))
    await lesson.start()
    assert (await activate(lesson)).time_limit == seconds(30)
    assert (await activate(lesson)).time_limit == seconds(10)
    opened = house.gate.asked("OpenRound", lesson.session_id)
    assert [request.rules for request in opened] == [rules, own]
    assert [request.window.time_limit for request in opened] == [seconds(30), seconds(10)]


async def test_rules_that_say_nothing_are_rules_all_the_same(house: House) -> None:
    lesson = await new_lesson(house, rules=rules_pb2.ScoringRules())
    await lesson.add(true_false())
    await lesson.start()
    await activate(lesson)
    assert house.gate.asked("OpenRound", lesson.session_id)[0].rules == rules_pb2.ScoringRules()


async def test_one_block_is_active_at_a_time(house: House) -> None:
    lesson = await running(house)
    await activate(lesson)
    assert await reason_of(activate(lesson)) is Reason.BLOCK_BUSY
    await lesson.block_call("CloseBlock", block_id=lesson.block_ids[0])
    await activate(lesson)


async def test_of_many_who_open_blocks_at_once_one_does(house: House) -> None:
    lesson = await running(house, blocks=6)
    outcomes = await asyncio.gather(
        *(activate(lesson, block_id) for block_id in lesson.block_ids), return_exceptions=True
    )
    failures = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert [received(failure).reason for failure in failures] == [Reason.BLOCK_BUSY] * 5
    assert len(house.gate.asked("OpenRound", lesson.session_id)) == 1
    assert sorted(block.status for block in await lesson.blocks()) == [PENDING] * 5 + [ACTIVE]


async def test_several_blocks_may_be_active_when_the_session_allows_it(house: House) -> None:
    lesson = await running(house, parallel_blocks_allowed=True)
    await asyncio.gather(*(activate(lesson, block_id) for block_id in lesson.block_ids))
    assert [block.status for block in await lesson.blocks()] == [ACTIVE] * 3
    last = (await lesson.session()).active_block_id
    await lesson.block_call("CloseBlock", block_id=last)
    assert (await lesson.session()).active_block_id in set(lesson.block_ids) - {last}


@pytest.mark.parametrize("status", ["waiting", "paused"])
async def test_blocks_open_in_an_active_session_alone(house: House, status: str) -> None:
    lesson = await new_lesson(house, blocks=1)
    await lesson.open()
    if status == "paused":
        await lesson.call("StartSession")
        await lesson.call("PauseSession")
    assert await reason_of(activate(lesson)) is Reason.SESSION_STATUS


@pytest.mark.parametrize("rpc", ["ActivateBlock", "CloseBlock", "SkipBlock"])
async def test_a_closed_block_stays_closed(house: House, rpc: str) -> None:
    lesson = await running(house)
    block = await activate(lesson)
    await lesson.block_call("CloseBlock", block_id=block.block_id)
    again = lesson.block_call(rpc, block_id=block.block_id)
    assert await reason_of(again) is Reason.BLOCK_STATUS


async def test_the_host_closes_a_block_and_all_see_the_answer(house: House) -> None:
    lesson = await running(house)
    block = await activate(lesson, time_limit=seconds(60))
    closed = (await lesson.block_call("CloseBlock", block_id=block.block_id)).block
    assert closed.status == CLOSED
    assert closed.close_time.ToNanoseconds() < block.close_time.ToNanoseconds()
    (event,) = [event.block_closed for event in await lesson.events() if event.HasField("block_closed")]
    assert (event.block_id, event.round_id, event.by_deadline) == (block.block_id, block.round_id, False)
    assert event.answer_key == block.answer_key
    assert event.close_time == closed.close_time
    assert (await lesson.session()).active_block_id == ""


async def test_the_clock_closes_a_block_once_and_on_time(house: House) -> None:
    async def seconds_late() -> float:
        lesson = await running(house)
        async with lesson.watch() as watch:
            block = await activate(lesson, time_limit=seconds(1))
            event = await watch.event("block_closed", block_id=block.block_id)
        assert event.by_deadline
        assert len(house.gate.asked("CloseRound", lesson.session_id)) == 1
        (change,) = [event for event in await lesson.events() if event.HasField("block_closed")]
        late: timedelta = change.create_time.ToDatetime() - block.close_time.ToDatetime()
        # Scoring takes answers that were on their way for a quarter of a second.
        assert late >= timedelta(seconds=0.25)
        return late.total_seconds()

    await assert_quick(1, seconds_late)


async def test_a_pending_block_is_left_out_without_a_word_to_scoring(house: House) -> None:
    lesson = await new_lesson(house, blocks=2)
    skipped = (await lesson.block_call("SkipBlock", block_id=lesson.block_ids[0])).block
    assert skipped.status == SKIPPED
    assert house.gate.asked("CancelRound", lesson.session_id) == []
    assert [event.block_skipped.block_id for event in (await lesson.events())[1:]] == [skipped.block_id]


async def test_an_active_block_is_skipped_with_its_round(house: House) -> None:
    lesson = await running(house)
    block = await activate(lesson, time_limit=seconds(60))
    skipped = (await lesson.block_call("SkipBlock", block_id=block.block_id)).block
    assert (skipped.status, skipped.HasField("close_time")) == (SKIPPED, False)
    (request,) = house.gate.asked("CancelRound", lesson.session_id)
    assert request.round_id == block.round_id
    assert (await lesson.session()).active_block_id == ""


async def test_a_pause_keeps_what_was_left_to_the_millisecond(house: House) -> None:
    lesson = await running(house)
    block = await activate(lesson, time_limit=seconds(30))
    close_time = block.close_time.ToDatetime(UTC)
    total = timedelta(0)
    for _ in range(3):
        await lesson.call("PauseSession")
        pause_time = house.gate.asked("PauseRounds", lesson.session_id)[-1].pause_time.ToDatetime(UTC)
        paused = await lesson.block(block.block_id)
        left = paused.time_left.ToTimedelta()
        assert abs(left - (close_time - pause_time)) < MILLISECOND
        assert not paused.HasField("close_time")
        await lesson.call("ResumeSession")
        resume_time = house.gate.asked("ResumeRounds", lesson.session_id)[-1].resume_time.ToDatetime(UTC)
        resumed = await lesson.block(block.block_id)
        assert not resumed.HasField("time_left")
        close_time = resumed.close_time.ToDatetime(UTC)
        assert abs(close_time - (resume_time + left)) < MILLISECOND
        total += resume_time - pause_time
    assert abs(close_time - block.close_time.ToDatetime(UTC) - total) < MILLISECOND


async def test_pause_and_resume_tell_the_clocks(house: House) -> None:
    lesson = await running(house, parallel_blocks_allowed=True)
    limited, unlimited = await activate(lesson, time_limit=seconds(30)), await activate(lesson)
    await lesson.call("PauseSession")
    await lesson.call("ResumeSession")
    moves = [event.status_changed for event in await lesson.events() if event.HasField("status_changed")]
    paused, resumed = moves[-2:]
    assert [clock.block_id for clock in paused.clocks] == [limited.block_id, unlimited.block_id]
    assert [clock.HasField("time_left") for clock in paused.clocks] == [True, False]
    assert [clock.HasField("close_time") for clock in resumed.clocks] == [True, False]
    assert resumed.session.status == STATUS["active"]


async def test_a_paused_block_does_not_close_and_closes_on_time_afterwards(house: House) -> None:
    async def seconds_late() -> float:
        lesson = await running(house)
        block = await activate(lesson, time_limit=seconds(1))
        async with lesson.watch() as watch:
            await lesson.call("PauseSession")
            left = (await lesson.block(block.block_id)).time_left.ToTimedelta()
            # Longer than the block would have been open.
            await asyncio.sleep(1.2)
            assert (await lesson.block(block.block_id)).status == ACTIVE
            assert (await lesson.block(block.block_id)).time_left.ToTimedelta() == left
            await lesson.call("ResumeSession")
            resumed = await lesson.block(block.block_id)
            event = await watch.event("block_closed", block_id=block.block_id)
        assert event.by_deadline
        late: timedelta = event.close_time.ToDatetime() - resumed.close_time.ToDatetime()
        assert late >= timedelta(0)
        return late.total_seconds()

    await assert_quick(1, seconds_late)


async def test_a_paused_session_closes_and_skips_its_blocks_and_ends(house: House) -> None:
    lesson = await running(house, parallel_blocks_allowed=True)
    first, second, third = [await activate(lesson) for _ in range(3)]
    await lesson.call("PauseSession")
    await lesson.block_call("CloseBlock", block_id=first.block_id)
    await lesson.block_call("SkipBlock", block_id=second.block_id)
    await lesson.call("EndSession")
    assert [block.status for block in await lesson.blocks()] == [CLOSED, SKIPPED, CLOSED]
    assert third.block_id


async def test_the_end_closes_what_is_active_first(house: House) -> None:
    lesson = await running(house, parallel_blocks_allowed=True)
    blocks = [await activate(lesson, time_limit=seconds(30)) for _ in range(2)]
    ended = (await lesson.call("EndSession")).session
    assert (ended.status, ended.active_block_id, ended.join_code) == (STATUS["ended"], "", "")
    assert [block.status for block in await lesson.blocks()] == [CLOSED, CLOSED, PENDING]
    kinds = [event.WhichOneof("event") for event in await lesson.events()]
    assert kinds[-3:] == ["block_closed", "block_closed", "status_changed"]
    closed = {request.round_id for request in house.gate.asked("CloseRound", lesson.session_id)}
    assert closed == {block.round_id for block in blocks}
    left = await house.rows(
        "SELECT key FROM session.deadline WHERE room_id = :id AND key NOT LIKE 'seat:%'", id=lesson.session_id
    )
    assert left == []
