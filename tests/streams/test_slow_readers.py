"""Slow clients: bounded memory, nothing of the log lost, told what they skipped, and nobody else held up."""

import asyncio
from contextlib import AsyncExitStack

from muster.stream.v1.stream_pb2 import ReconnectCause
from muster_kit.streams import SharedView, Tuning

from tests.streams.rooms import Worker, World, event, seq_of
from tests.waiting import until

SMALL = Tuning(
    ring_events=32,
    ring_bytes=4096,
    replay_events=20,
    frame_bytes=512,
    check_seconds=30,
    gap_grace_seconds=0.005,
    lag_seconds=0.3,
)


async def test_a_stalled_client_loses_nothing_costs_no_memory_and_holds_up_nobody(
    world: World, room_id: str
) -> None:
    async with world.worker(SMALL) as worker, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(world.watch(worker, room_id))
        fast = [await stack.enter_async_context(world.watch(worker, room_id)) for _ in range(5)]
        await slow.until_kinds("snapshot")
        slow.gate.clear()
        for seq in range(4, 401, 4):
            await world.append(room_id, 4)
            await fast[0].until_seq(seq)
        for client in fast:
            await client.until_seq(400)
            assert client.events == [event(seq) for seq in range(1, 401)]
            assert "lag" not in client.kinds
        # What is kept for all of them together is what the ring may hold.
        tail = fast[0].feed.room.tail
        assert len(tail.ring._runs_by_seq) <= SMALL.ring_events
        assert tail.ring.size_bytes <= SMALL.ring_bytes
        assert slow.events == []
        # Nobody is told before they were slow for so long.
        await asyncio.sleep(SMALL.lag_seconds)
        slow.gate.set()
        await slow.until_seq(400)
        assert slow.events == [event(seq) for seq in range(1, 401)]
        await slow.until(lambda: "lag" in slow.kinds)
        assert slow.of_kind("lag")[0].behind.ToMilliseconds() > 0
        # A query reads a page, not an event.
        assert worker.log.queries.count("read") <= 400 / SMALL.replay_events + 1
        # What was read since the first lag frame is told with the next event.
        await asyncio.sleep(SMALL.lag_seconds)
        await world.append(room_id)
        at_least = 400 - 4 - SMALL.ring_events - SMALL.replay_events
        await slow.until(lambda: sum(lag.events_reread for lag in slow.of_kind("lag")) >= at_least)
        await slow.until_seq(401)
        assert slow.events[400:] == [event(401)]


async def test_a_client_that_reads_a_little_at_a_time_is_never_more_than_late(
    world: World, room_id: str
) -> None:
    async with world.worker(SMALL) as worker, world.watch(worker, room_id) as slow:
        for _ in range(60):
            slow.gate.clear()
            await world.append(room_id, 3)
            frames = len(slow.frames)
            slow.gate.set()
            await slow.until(lambda frames=frames: len(slow.frames) > frames)
        await slow.until_seq(180)
        first = 181 - len(slow.events)
        assert slow.events == [event(seq) for seq in range(first, 181)]
        assert max(slow.sizes) <= SMALL.frame_bytes + 100


async def test_a_client_too_slow_for_one_frame_is_told_to_come_back(world: World, room_id: str) -> None:
    async with world.worker(Tuning(write_timeout_seconds=0.05)) as worker:
        async with world.watch(worker, room_id) as client, world.watch(worker, room_id) as other:
            await client.until_kinds("snapshot")
            client.gate.clear()
            await world.append(room_id)
            await world.append(room_id)
            await other.until_seq(2)
            await asyncio.sleep(0.06)
            client.gate.set()
            await client.ended()
            assert client.kinds == ["snapshot", "events", "reconnect"]
            assert client.frames[-1].reconnect.cause == ReconnectCause.RECONNECT_CAUSE_TOO_SLOW
            assert seq_of(client.cursor) == 1
        async with world.watch(worker, room_id, client.cursor, replay_only=True) as again:
            await again.ended()
            assert again.events == [event(2)]


async def test_a_client_further_behind_than_the_log_is_told_to_come_back(world: World, room_id: str) -> None:
    async with world.worker(SMALL) as worker, world.watch(worker, room_id) as other:
        async with world.watch(worker, room_id) as client:
            await client.until_kinds("snapshot")
            client.gate.clear()
            for _ in range(50):
                await world.append(room_id, 2)
            await other.until_seq(100)
            await world.trim(room_id, 50)
            client.gate.set()
            await client.ended()
            assert client.kinds[-1] == "reconnect"
            assert client.frames[-1].reconnect.cause == ReconnectCause.RECONNECT_CAUSE_TOO_SLOW
        async with world.watch(worker, room_id, client.cursor) as again:
            await again.until_kinds("reset", "snapshot")


async def test_a_client_that_fails_stops_nobody(world: World, worker: Worker, room_id: str) -> None:
    async with AsyncExitStack() as stack:
        broken, *fine = [await stack.enter_async_context(world.watch(worker, room_id)) for _ in range(3)]
        for client in (broken, *fine):
            await client.until_kinds("snapshot")

        class GoneError(Exception):
            pass

        async def fail() -> bool:
            raise GoneError

        broken.gate.wait = fail  # type: ignore[method-assign,assignment]
        await world.append(room_id)
        for client in fine:
            await client.until_seq(1)
        await until(broken.serving.done)
        assert isinstance(broken.serving.exception(), GoneError)


async def test_views_get_their_turn_while_a_client_catches_up(world: World, room_id: str) -> None:
    async with (
        world.worker(SMALL) as worker,
        world.watch(worker, room_id) as other,
        world.watch(worker, room_id) as client,
    ):
        await client.until_kinds("snapshot")
        client.gate.clear()
        for _ in range(100):
            await world.append(room_id)
        await other.until_seq(100)
        client.feed.room.offer("board", SharedView(1, whole=lambda: b"board"))
        client.gate.set()
        await client.until_seq(100)
        assert client.kinds.index("view") <= 18


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as staying:
        for _ in range(20):
            async with world.watch(worker, room_id) as client:
                await client.until_kinds("snapshot")
        room = staying.feed.room
        assert room.streams == {staying.feed}
        assert room.watchers == 1
        alarms = [alarm for slot in worker.hub._process.wheel._slots.values() for alarm in slot]
        assert len(alarms) == 1
        await world.append(room_id)
        await staying.until_seq(1)
