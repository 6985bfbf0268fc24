"""Group commit: who shares a batch, who hears of which failure, and what a cancelled caller changes."""

import asyncio
import contextvars
from collections.abc import Sequence

import pytest
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason

from tests.unit.gates import Gate


async def held(gate: Gate, group: GroupCommit[int, int], *later: int) -> list[asyncio.Task[int]]:
    """Item 0 is in flight, and `later` wait for the next batch."""
    tasks = [asyncio.ensure_future(group.submit(0))]
    await gate.started.wait()
    tasks += [asyncio.ensure_future(group.submit(item)) for item in later]
    await asyncio.sleep(0)
    return tasks


async def test_what_arrives_during_a_flush_is_the_next_batch_in_order() -> None:
    gate = Gate()
    tasks = await held(gate, GroupCommit(gate.flush), 1, 2, 3)
    gate.open.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
    assert gate.batches == [[0], [1, 2, 3]]


async def test_a_batch_is_no_larger_than_allowed() -> None:
    gate = Gate()
    tasks = await held(gate, GroupCommit(gate.flush, max_items=2), 1, 2, 3)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert gate.batches == [[0], [1, 2], [3]]


async def _trickle(group: GroupCommit[int, int], items: Sequence[int], *, turns: int) -> list[int]:
    """Submit one after the other, so many turns of the loop apart, and wait for all."""
    futures = []
    for item in items:
        futures.append(group.put(item))
        for _ in range(turns):
            await asyncio.sleep(0)
    return await asyncio.gather(*futures)


@pytest.mark.parametrize(
    ("turns", "most", "batches"),
    [
        pytest.param(3, 9, [[0], [1, 2, 3, 4, 5, 6]], id="they come within its patience"),
        pytest.param(3, 4, [[0], [1, 2, 3, 4], [5], [6]], id="it is full before"),
        pytest.param(30, 9, [[0], [1], [2], [3], [4], [5], [6]], id="they come too late"),
    ],
)
async def test_a_patient_batch_grows_while_more_arrives(
    turns: int, most: int, batches: list[list[int]]
) -> None:
    gate = Gate()
    group = GroupCommit(gate.flush, max_items=most, patience=8)
    first = asyncio.ensure_future(group.submit(0))
    await gate.started.wait()
    gate.open.set()
    assert await _trickle(group, range(1, 7), turns=turns) == [2, 4, 6, 8, 10, 12]
    assert await first == 0
    assert gate.batches == batches


async def test_heavy_items_fill_a_batch_and_the_queue_sooner() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush, max_items=4, max_waiting=10, weigh=lambda item: item)
    tasks = await held(gate, group, 3, 3, 1, 2, 5)
    with pytest.raises(MusterError) as raised:
        await group.submit(0)
    assert raised.value.reason is Reason.RATE_LIMITED
    gate.open.set()
    await asyncio.gather(*tasks)
    assert gate.batches == [[0], [3, 3], [1, 2, 5]]
    assert await group.submit(10) == 20


async def test_an_items_error_is_raised_to_its_caller_alone() -> None:
    gate = Gate()
    tasks = await held(gate, GroupCommit(gate.flush), 1, -2, 3)
    gate.open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[:2] == [0, 2]
    assert isinstance(outcomes[2], ValueError)
    assert outcomes[3] == 6


async def test_an_error_of_the_flush_goes_to_all_of_its_batch_and_to_no_other() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush)
    tasks = await held(gate, group, 1, 2)
    gate.failure = OSError("the store is away")
    gate.open.set()
    assert {str(error) for error in await asyncio.gather(*tasks, return_exceptions=True)} == {
        "the store is away"
    }
    gate.failure = None
    assert await group.submit(4) == 8


async def test_a_flush_that_loses_outcomes_fails_its_batch() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int | BaseException]:
        return []

    with pytest.raises(RuntimeError, match="0 outcomes for 1 items"):
        await GroupCommit(flush).submit(1)


async def test_a_caller_cancelled_while_waiting_is_left_out() -> None:
    gate = Gate()
    tasks = await held(gate, GroupCommit(gate.flush), 1, 2, 3)
    tasks[2].cancel()
    await asyncio.wait({tasks[2]})
    gate.open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [0, 2, 6]
    assert gate.batches == [[0], [1, 3]]


async def test_a_caller_cancelled_in_flight_changes_nothing_for_the_others() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush)
    first, second = await held(gate, group, 1)
    first.cancel()
    await asyncio.wait({first})
    gate.open.set()
    assert first.cancelled()
    assert await second == 2
    assert gate.batches == [[0], [1]]


async def test_something_cancelled_inside_the_flush_does_not_cancel_the_callers() -> None:
    gate = Gate()
    tasks = await held(gate, GroupCommit(gate.flush))
    gate.failure = asyncio.CancelledError()
    gate.open.set()
    with pytest.raises(RuntimeError, match="cancelled"):
        await tasks[0]


async def test_too_many_waiting_are_told_to_come_back() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush, max_waiting=2)
    tasks = await held(gate, group, 1, 2)
    with pytest.raises(MusterError) as refused:
        await group.submit(3)
    assert refused.value.reason is Reason.RATE_LIMITED
    assert refused.value.retry_after
    gate.open.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4]


async def test_closing_finishes_what_is_there_and_refuses_what_comes() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush)
    tasks = await held(gate, group, 1)
    closing = asyncio.ensure_future(group.close())
    await asyncio.sleep(0)
    with pytest.raises(MusterError) as refused:
        await group.submit(2)
    assert refused.value.reason is Reason.DRAINING
    gate.open.set()
    await closing
    assert await asyncio.gather(*tasks) == [0, 2]


async def test_a_cancelled_close_leaves_the_batch_running() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush)
    (task,) = await held(gate, group)
    closing = asyncio.ensure_future(group.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    gate.open.set()
    assert await task == 0


async def test_callers_are_cancelled_with_the_loop_and_do_not_wait_for_ever() -> None:
    gate = Gate()
    group = GroupCommit(gate.flush)
    tasks = await held(gate, group, 1, 2)
    assert group._drainer is not None
    group._drainer.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_its_owner_is_told_when_nothing_is_left_even_if_every_caller_went_away() -> None:
    gate = Gate()
    idle = asyncio.Event()
    tasks = await held(gate, GroupCommit(gate.flush, on_idle=idle.set), 1)
    for task in tasks:
        task.cancel()
    gate.open.set()
    async with asyncio.timeout(30):
        await idle.wait()
    assert gate.batches == [[0]]


async def test_the_flush_does_not_run_in_the_context_of_its_first_caller() -> None:
    call_id: contextvars.ContextVar[str] = contextvars.ContextVar("call_id", default="nobody's")

    async def flush(items: Sequence[int]) -> Sequence[str]:
        return [call_id.get()]

    call_id.set("the first caller's")
    assert await GroupCommit(flush).submit(1) == "nobody's"
