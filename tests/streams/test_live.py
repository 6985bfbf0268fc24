"""Live streams: what Redis loses, doubles or cannot tell arrives all the same."""

from contextlib import AsyncExitStack

from muster.stream.v1.stream_pb2 import ResetCause
from muster_kit.streams import Tuning

from tests.conftest import TestStores
from tests.streams.rooms import Worker, World, event, seq_of
from tests.waiting import until

CHECKING = Tuning(check_seconds=0.05, check_away_seconds=0.05, gap_grace_seconds=0.005)


async def test_an_event_reaches_the_watchers_of_every_worker_as_the_same_bytes(
    world: World, worker: Worker, other_worker: Worker, room_id: str
) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(world.watch(w, room_id))
            for w in (worker, other_worker)
            for _ in range(3)
        ]
        for client in clients:
            await client.until_kinds("snapshot")
        await world.append(room_id, 2)
        for client in clients:
            await client.until_seq(2)
            assert client.events == [event(1), event(2)]
            assert client.kinds == ["snapshot", "events"]
            assert client.frames[-1].queue_delay.ToMilliseconds() < 1000
            assert client.frames[-1].server_time.seconds
    assert worker.log.queries == ["head"]


async def test_publications_lost_doubled_and_reordered_are_made_good_from_the_log(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        epoch = (await world.head(room_id)).epoch
        runs = [(1 + 3 * n, await world.append(room_id, 3, publish=False)) for n in range(10)]
        # 3 comes before 2, 4 twice, 5 and 6 never, 9 before 8, 10 before everything.
        for n in (9, 0, 2, 1, 3, 3, 6, 8, 7, 0):
            await world.publisher.publish(room_id, epoch, *runs[n])
        await client.until_seq(30)
        assert client.events == [event(seq) for seq in range(1, 31)]
        assert worker.log.queries.count("read") <= 2


async def test_what_overtakes_and_is_overtaken_within_a_moment_costs_no_query(
    world: World, room_id: str
) -> None:
    async with world.worker(Tuning(gap_grace_seconds=5)) as worker, world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        epoch = (await world.head(room_id)).epoch
        first, second = [await world.append(room_id, 2, publish=False) for _ in range(2)]
        await world.publisher.publish(room_id, epoch, 3, second)
        await world.publisher.publish(room_id, epoch, 1, first)
        await client.until_seq(4)
        assert client.events == [event(seq) for seq in range(1, 5)]
        assert "read" not in worker.log.queries


async def test_a_lost_publication_is_found_by_the_head_check(world: World, room_id: str) -> None:
    async with world.worker(CHECKING) as worker, world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id, 3, publish=False)
        await client.until_seq(3)
        assert client.events == [event(1), event(2), event(3)]


async def test_one_query_checks_the_heads_of_all_rooms(world: World) -> None:
    room_ids = [await world.create_room() for _ in range(20)]
    async with world.worker(CHECKING) as worker, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(world.watch(worker, room_id)) for room_id in room_ids]
        for client in clients:
            await client.until_kinds("snapshot")
        for room_id in room_ids:
            await world.append(room_id, publish=False)
        checks = worker.log.queries.count("heads")
        for client in clients:
            await client.until_seq(1)
        assert worker.log.queries.count("heads") - checks <= 5


async def test_events_arrive_while_redis_is_away_and_after_it_is_back(
    world: World, stores: TestStores, room_id: str
) -> None:
    tuning = Tuning(check_seconds=30, check_away_seconds=0.05)
    signals: list[tuple[str, bytes]] = []
    async with world.worker(tuning) as worker, world.watch(worker, room_id) as client:
        worker.hub.on_signal(lambda room_id, payload: signals.append((room_id, payload)))
        await client.until_kinds("snapshot")
        stores.valkey.kill()
        await stores.valkey.wait()
        try:
            await world.append(room_id, 3)
            await client.until_seq(3)
            # Another room can be opened all the same.
            other_id = await world.create_room()
            await world.append(other_id)
            async with world.watch(worker, other_id) as other:
                await other.until_seq(1)
        finally:
            await stores.valkey.start()
        await until(lambda: worker.hub._listener.connected)
        # By now no check but one in 30 s would bring it.
        await world.append(room_id, 2)
        await client.until_seq(5)
        assert client.events == [event(seq) for seq in range(1, 6)]
        assert (room_id, b"") in signals


async def test_a_process_that_starts_without_redis_serves_all_the_same(
    world: World, stores: TestStores, room_id: str
) -> None:
    stores.valkey.kill()
    await stores.valkey.wait()
    try:
        async with world.worker(CHECKING) as worker, world.watch(worker, room_id) as client:
            await world.append(room_id)
            await client.until_seq(1)
            await stores.valkey.start()
            await until(lambda: worker.hub._listener.connected)
            await world.append(room_id)
            await client.until_seq(2)
    finally:
        if stores.valkey.pid is None:
            await stores.valkey.start()


async def test_a_replaced_log_resets_everybody(world: World, room_id: str) -> None:
    async with world.worker(CHECKING) as worker, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(world.watch(worker, room_id)) for _ in range(3)]
        await world.append(room_id, 3)
        for client in clients:
            await client.until_seq(3)
        await world.replace_log(room_id)
        await world.append(room_id, 2)
        for client in clients:
            await client.until_kinds("reset", "snapshot")
            assert client.frames[-2].reset.cause == ResetCause.RESET_CAUSE_STORE_REBUILT
            assert client.cursor == (await world.head(room_id)).encode()
        await world.append(room_id)
        for client in clients:
            await client.until_seq(3)
            assert client.events[-1] == event(3)


async def test_a_publication_of_another_log_is_checked_with_the_store(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await world.append(room_id, 3)
        await client.until_seq(3)
        # Nobody but the store can say which of two logs is the newer one.
        await world.publisher.publish(room_id, 12345, 4, [b"of a log that is gone"])
        await world.replace_log(room_id)
        await world.append(room_id)
        await client.until_kinds("reset", "snapshot")
        await world.append(room_id)
        await client.until_seq(2)
        assert b"of a log that is gone" not in client.events


async def test_a_publication_of_events_that_do_not_exist_does_no_harm(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        epoch = (await world.head(room_id)).epoch
        await world.publisher.publish(room_id, epoch, 100, [b"far away"])
        await world.redis.publish(f"muster:live:room:{{{room_id}}}", b"garbage")
        await until(lambda: "read" in worker.log.queries)
        await world.append(room_id, 3)
        await client.until_seq(3)
        assert client.events == [event(1), event(2), event(3)]


async def test_events_trimmed_before_they_were_told_cut_the_stream_with_a_cursor(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id, 5, publish=False)
        await world.trim(room_id, 4)
        await world.append(room_id)
        await client.ended()
        assert client.kinds == ["snapshot", "reconnect"]
        assert seq_of(client.cursor) == 0
    async with world.watch(worker, room_id, client.cursor) as again:
        await again.until_seq(6)
        assert again.kinds == ["reset", "snapshot"]
