"""What follows a batch of a group commit: one at a time, in order, while the next batch is flushed."""

import asyncio
from collections.abc import Sequence

import pytest
from muster_kit.db.group_commit import GroupCommit

from tests.unit.gates import Gate


async def test_a_batch_is_flushed_while_the_one_before_is_followed_up_and_no_further() -> None:
    gate, log = Gate(), list[tuple[str, Sequence[int]]]()
    gate.open.set()
    second_came, held_back = asyncio.Event(), asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int | BaseException]:
        log.append(("flush", list(items)))
        if len(log) > 1:
            second_came.set()
        return await gate.flush(items)

    async def follow_up(
        items: Sequence[int], outcomes: Sequence[int | BaseException]
    ) -> Sequence[int | BaseException]:
        await held_back.wait()
        log.append(("follow", list(items)))
        return [each + 1 if isinstance(each, int) else each for each in outcomes]

    group = GroupCommit(flush, follow_up=follow_up, max_items=1)
    tasks = [asyncio.ensure_future(group.submit(item)) for item in (1, 2, -3, 4)]
    async with asyncio.timeout(30):
        await second_came.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert log == [("flush", [1]), ("flush", [2])]
    held_back.set()
    assert await asyncio.gather(*tasks[:2], tasks[3]) == [3, 5, 9]
    with pytest.raises(ValueError, match="-3"):
        await tasks[2]
    assert [items for step, items in log if step == "follow"] == [[1], [2], [-3], [4]]


async def test_follow_ups_stay_one_at_a_time_and_in_order_when_a_flush_fails_between_them() -> None:
    held_back, third_came = asyncio.Event(), asyncio.Event()
    log = list[tuple[str, Sequence[int]]]()

    async def flush(items: Sequence[int]) -> Sequence[int | BaseException]:
        log.append(("flush", items))
        if 3 in items:
            third_came.set()
        if 2 in items:
            raise OSError("the store is away")
        return items

    async def follow_up(
        items: Sequence[int], outcomes: Sequence[int | BaseException]
    ) -> Sequence[int | BaseException]:
        log.append(("begin", items))
        if 1 in items:
            await held_back.wait()
        log.append(("end", items))
        return outcomes

    group = GroupCommit(flush, follow_up=follow_up, max_items=1)
    tasks = [asyncio.ensure_future(group.submit(item)) for item in (1, 2, 3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert not third_came.is_set()
    held_back.set()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == (1, 3)
    assert isinstance(second, OSError)
    followed = [(step, items) for step, items in log if step != "flush"]
    assert followed == [(step, [item]) for item in (1, 2, 3) for step in ("begin", "end")]


async def test_an_error_of_the_follow_up_goes_to_its_batch_and_to_no_other() -> None:
    gate = Gate()
    gate.open.set()

    async def follow_up(
        items: Sequence[int], outcomes: Sequence[int | BaseException]
    ) -> Sequence[int | BaseException]:
        if 2 in outcomes:
            raise OSError("the index is away")
        return outcomes

    group = GroupCommit(gate.flush, follow_up=follow_up, max_items=1)
    outcomes = await asyncio.gather(*map(group.submit, (1, 2)), return_exceptions=True)
    assert isinstance(outcomes[0], OSError)
    assert outcomes[1] == 4


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_nobody_waits_for_ever_for_a_follow_up_that_ended_with_the_loop(turns: int) -> None:
    gate = Gate()
    gate.open.set()
    never = asyncio.Event()

    async def follow_up(
        items: Sequence[int], outcomes: Sequence[int | BaseException]
    ) -> Sequence[int | BaseException]:
        await never.wait()
        return outcomes

    group = GroupCommit(gate.flush, follow_up=follow_up, max_items=1)
    tasks = [asyncio.ensure_future(group.submit(item)) for item in (1, 2, 3)]
    await gate.started.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    assert group._drainer is not None
    group._drainer.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_closing_waits_for_the_last_follow_up() -> None:
    gate = Gate()
    gate.open.set()
    held_back = asyncio.Event()

    async def follow_up(
        items: Sequence[int], outcomes: Sequence[int | BaseException]
    ) -> Sequence[int | BaseException]:
        await held_back.wait()
        return outcomes

    group = GroupCommit(gate.flush, follow_up=follow_up)
    task = asyncio.ensure_future(group.submit(1))
    await gate.started.wait()
    closing = asyncio.ensure_future(group.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    held_back.set()
    await closing
    assert task.done()
    assert await task == 2
