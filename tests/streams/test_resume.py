"""A stream that was cut goes on as if it had not been, on any worker."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from muster.stream.v1.stream_pb2 import ResetCause
from muster_kit.streams import Cursor, StoredEvent, Tuning

from tests.streams.rooms import Worker, World, event
from tests.waiting import until


async def test_resuming_after_any_event_on_another_worker_gives_the_rest_once_and_in_order(
    world: World, worker: Worker, other_worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        for count in (1, 3, 1, 7, 2, 1, 5):
            await world.append(room_id, count)
        await client.until_seq(20)
        recorded = client.events
    assert recorded == [event(seq) for seq in range(1, 21)]
    epoch = (await world.head(room_id)).epoch
    for seq in range(21):
        after = Cursor(epoch, seq).encode()
        async with world.watch(other_worker, room_id, after, replay_only=True) as again:
            await again.ended()
            assert again.events == recorded[seq:]
            assert set(again.kinds) <= {"events"}


async def test_resuming_at_every_frame_while_events_go_on_loses_and_doubles_nothing(
    world: World, worker: Worker, other_worker: Worker, room_id: str
) -> None:
    cursor, seen = b"", []
    for turn in range(30):
        async with world.watch((worker, other_worker)[turn % 2], room_id, cursor) as client:
            await world.append(room_id, turn % 3 + 1)
            await client.until(lambda: bool(client.frames))
            cursor, seen = client.cursor, seen + client.events
    async with world.watch(worker, room_id, cursor, replay_only=True) as client:
        await client.ended()
        seen += client.events
    head = (await world.head(room_id)).seq
    # The first frame was a snapshot; what came before it is in it.
    assert seen == [event(seq) for seq in range(head - len(seen) + 1, head + 1)]
    assert head - len(seen) <= 1


async def test_a_cursor_in_the_middle_of_a_run_gives_the_rest_of_the_run(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id, 5)
        await client.until_seq(5)
        after = Cursor((await world.head(room_id)).epoch, 2).encode()
        async with world.watch(worker, room_id, after) as late:
            await late.until_seq(5)
            assert late.events == [event(3), event(4), event(5)]
    assert "read" not in worker.log.queries


async def test_a_thousand_streams_that_return_at_once_cost_one_query_of_the_log(
    world: World, other_worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 400, publish=False)
    epoch = (await world.head(room_id)).epoch
    async with AsyncExitStack() as stack:
        cursors = [Cursor(epoch, seq % 400).encode() for seq in range(1000)]
        clients = await asyncio.gather(
            *(stack.enter_async_context(world.watch(other_worker, room_id, after)) for after in cursors)
        )
        for seq, client in enumerate(clients):
            await client.until_seq(400)
            assert client.events == [event(s) for s in range(seq % 400 + 1, 401)]
    assert other_worker.log.queries.count("read") == 1
    assert other_worker.log.queries.count("head") == 1


async def test_a_log_longer_than_any_memory_is_replayed_whole(world: World, room_id: str) -> None:
    await world.append(room_id, 700, publish=False)
    small = Tuning(ring_events=16, ring_bytes=2048, replay_events=50, frame_bytes=256)
    after = Cursor((await world.head(room_id)).epoch, 0).encode()
    async with world.worker(small) as worker, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(world.watch(worker, room_id, after, replay_only=True))
            for _ in range(5)
        ]
        for client in clients:
            await client.ended()
            assert client.events == [event(seq) for seq in range(1, 701)]
            assert max(client.sizes) < 512


@pytest.mark.parametrize("garbage", [b"\0", b"x" * 17, b"\1" + b"\xff" * 16, b"\2" + b"\0" * 16, b"y" * 5000])
async def test_garbage_gives_a_reset_and_a_snapshot(
    world: World, worker: Worker, room_id: str, garbage: bytes
) -> None:
    await world.append(room_id, 3)
    async with world.watch(worker, room_id, garbage) as client:
        await client.until_seq(3)
        assert client.frames[0].reset.cause == ResetCause.RESET_CAUSE_CURSOR_FOREIGN
        # Whoever loses the stream between the two has to begin anew.
        assert client.frames[0].cursor == b""
        await world.append(room_id)
        await client.until_seq(4)
        assert client.events == [event(4)]


async def test_a_cursor_of_another_room_gives_a_reset(world: World, worker: Worker, room_id: str) -> None:
    other_id = await world.create_room()
    await world.append(other_id, 5)
    await world.append(room_id, 9)
    async with world.watch(worker, room_id, (await world.head(other_id)).encode()) as client:
        await client.until_kinds("reset", "snapshot")


async def test_a_cursor_ahead_of_the_log_gives_a_reset(world: World, worker: Worker, room_id: str) -> None:
    await world.append(room_id, 3)
    ahead = Cursor((await world.head(room_id)).epoch, 4).encode()
    async with world.watch(worker, room_id, ahead) as client:
        await client.until_kinds("reset", "snapshot")


async def test_a_cursor_ahead_of_this_worker_alone_is_good(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        # This worker does not hear of it, the other one did.
        await world.append(room_id, 3, publish=False)
        async with world.watch(worker, room_id, (await world.head(room_id)).encode()) as ahead:
            await client.until_seq(3)
            await world.append(room_id)
            await ahead.until_seq(4)
            assert ahead.events == [event(4)]


async def test_a_cursor_whose_events_are_gone_gives_a_reset(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 10)
    epoch = (await world.head(room_id)).epoch
    await world.trim(room_id, 6)
    async with world.watch(worker, room_id, Cursor(epoch, 4).encode()) as client:
        await client.until_kinds("reset", "snapshot")
        assert client.frames[0].reset.cause == ResetCause.RESET_CAUSE_CURSOR_STALE
    async with world.watch(worker, room_id, Cursor(epoch, 5).encode(), replay_only=True) as client:
        await client.ended()
        assert client.events == [event(seq) for seq in range(6, 11)]


async def test_events_that_go_while_a_stream_resumes_give_a_reset(world: World, room_id: str) -> None:
    await world.append(room_id, 10)
    epoch = (await world.head(room_id)).epoch
    async with world.worker() as worker, world.watch(worker, room_id) as warm:
        await warm.until_kinds("snapshot")
        # The worker still believes that the log begins with 1.
        await world.trim(room_id, 6)
        async with world.watch(worker, room_id, Cursor(epoch, 2).encode()) as client:
            await client.until_kinds("reset", "snapshot")
            assert client.frames[0].reset.cause == ResetCause.RESET_CAUSE_CURSOR_STALE


async def test_what_was_being_read_of_a_replaced_log_is_not_mixed_with_the_new_one(
    world: World, room_id: str
) -> None:
    await world.append(room_id, 3)
    old = (await world.head(room_id)).epoch
    async with world.worker() as worker:
        reading, go_on = asyncio.Event(), asyncio.Event()
        read = worker.log.inner.read

        async def slow_read(*args: str, **kwargs: int) -> Sequence[StoredEvent]:
            stored = await read(*args, **kwargs)
            reading.set()
            await go_on.wait()
            return stored

        worker.log.inner.read = slow_read  # type: ignore[method-assign,assignment]
        async with world.watch(worker, room_id, Cursor(old, 0).encode()) as client:
            await reading.wait()
            await world.replace_log(room_id)
            await world.append(room_id, 3, publish=False)
            new = (await world.head(room_id)).epoch
            # This one makes the worker look, and wants the same seqs of another log.
            async with world.watch(worker, room_id, Cursor(new, 0).encode()) as late:
                await until(lambda: worker.log.queries.count("read") == 2)
                go_on.set()
                await late.until_seq(3)
                assert late.kinds == ["events"]
            await client.until_kinds("reset", "snapshot")
            assert client.events == []
