"""Sessions that were played and deleted leave nothing in the process that served them."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from muster.scoring.v1 import answer_pb2, board_service_pb2, round_service_pb2
from muster_kit.streams import Hub

from tests.rpc.house import House
from tests.rpc.lessons import Seat, Watch, new_lesson, request_id, seconds

_SEATS, _BLOCKS, _SESSIONS = 3, 2, 8

# What caches hold, which are bounded and forget.
_REMEMBERED = frozenset({"Caller", "Round", "_Measured", "SeatKey", "Session", "Participant"})


async def _play(house: House) -> None:
    lesson = await new_lesson(house, blocks=_BLOCKS)
    await lesson.open()
    seats = [await lesson.join(f"player {number}") for number in range(_SEATS)]
    await lesson.call("StartSession")
    async with AsyncExitStack() as stack:
        for by in (lesson.host, *(seat.ticket for seat in seats)):
            await stack.enter_async_context(lesson.watch(by))
        boards = [_watch_board(house, lesson.session_id, seat) for seat in seats]
        for board in boards:
            stack.push_async_callback(board.close)
            await board.frame("view")
        for block_id in lesson.block_ids:
            activated = await lesson.block_call("ActivateBlock", block_id=block_id, time_limit=seconds(60))
            await asyncio.gather(*(_answer(house, seat, activated.block.round_id) for seat in seats))
            await lesson.block_call("CloseBlock", block_id=block_id)
    await lesson.call("EndSession")
    await lesson.call("DeleteSession", request_id=request_id())


def _watch_board(house: House, session_id: str, seat: Seat) -> Watch:
    request = board_service_pb2.WatchBoardRequest(board_id=session_id)
    return Watch(house.boards.WatchBoard(request, metadata=seat.ticket))


async def _answer(house: House, seat: Seat, round_id: str) -> None:
    answer = answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True))
    request = round_service_pb2.SubmitResponseRequest(
        request_id=request_id(), round_id=round_id, answer=answer
    )
    await house.rounds.SubmitResponse(request, metadata=seat.ticket)


def _close_empty_rooms() -> None:
    """Let the rooms go that nobody has come back to, as if half a minute had passed."""
    for hub in [each for each in gc.get_objects() if isinstance(each, Hub)]:
        for alarm in list(hub._lingering.values()):
            alarm.cancel()
        for room in [room for room in hub._rooms.values() if not room.watchers]:
            hub._drop(room)


def _is_ours(each: Any) -> bool:
    kind = type(each)
    return str(kind.__module__).startswith("muster_") and kind.__name__ not in _REMEMBERED


def _is_running(each: Any) -> bool:
    return type(each).__name__ in {"Task", "Context", "coroutine", "Future", "TimerHandle"}


def _cancelled() -> set[int]:
    """Timers that were cancelled, with their contexts: the loop keeps them until they would have been due."""
    timers = [each for each in gc.get_objects() if isinstance(each, asyncio.TimerHandle) and each.cancelled()]
    return {id(each) for timer in timers for each in (timer, timer._context)}


async def _held(*, is_counted: Callable[[Any], bool], collect: bool) -> Counter[str]:
    """What there is by type, once nothing more is on its way out."""
    _close_empty_rooms()
    held = Counter[str]()
    for _ in range(50):
        await asyncio.sleep(0.05)
        if collect:
            gc.collect()
        left_out = _cancelled()
        counted = (each for each in gc.get_objects() if is_counted(each) and id(each) not in left_out)
        before, held = held, Counter(type(each).__name__ for each in counted)
        if held == before:
            break
    return held


def _of_each_session(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """What there is more of, and as many as sessions: less may be housekeeping on its way."""
    return {kind: more for kind, more in (after - before).items() if more >= _SESSIONS}


async def test_sessions_that_were_played_and_deleted_leave_nothing_running(house: House) -> None:
    for _ in range(2):
        await _play(house)
    before = await _held(is_counted=_is_running, collect=True)
    for _ in range(_SESSIONS):
        await _play(house)
    after = await _held(is_counted=_is_running, collect=True)
    assert _of_each_session(before, after) == {}


async def test_what_sessions_needed_is_gone_without_a_garbage_collection(house: House) -> None:
    for _ in range(2):
        await _play(house)
    before = await _held(is_counted=_is_ours, collect=True)
    gc.disable()
    try:
        for _ in range(_SESSIONS):
            await _play(house)
        after = await _held(is_counted=_is_ours, collect=False)
    finally:
        gc.enable()
    assert _of_each_session(before, after) == {}
