"""Live streams: what Redis loses, doubles or cannot tell arrives all the same."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from muster.stream.v1.stream_pb2 import ReconnectCause, ResetCause
from muster_kit.errors import MusterError, Reason
from muster_kit.streams import Counts, Cursor, Renewal, Tuning

from tests.conftest import TestStores
from tests.streams.rooms import Worker, World, event, eventually, seq_of

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
        await eventually(lambda: worker.hub._listener.connected)
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
            await eventually(lambda: worker.hub._listener.connected)
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
        await eventually(lambda: "read" in worker.log.queries)
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


async def test_a_quiet_stream_gets_heartbeats_that_carry_the_cursor(world: World, room_id: str) -> None:
    tuning = Tuning(heartbeat_seconds=(0.05, 0.1))
    async with world.worker(tuning) as worker, world.watch(worker, room_id) as client:
        await world.append(room_id, 4)
        await client.until_seq(4)
        await client.until(lambda: client.kinds.count("heartbeat") >= 2)
        assert client.cursor == (await world.head(room_id)).encode()


async def test_a_busy_stream_gets_no_heartbeats(world: World, room_id: str) -> None:
    tuning = Tuning(heartbeat_seconds=(0.6, 0.6))
    async with world.worker(tuning) as worker, world.watch(worker, room_id) as client:
        for seq in range(1, 31):
            await world.append(room_id)
            await client.until_seq(seq)
            await asyncio.sleep(0.04)
        assert "heartbeat" not in client.kinds


async def test_a_stream_ends_after_max_frames(world: World, worker: Worker, room_id: str) -> None:
    async with world.watch(worker, room_id, max_frames=3) as client:
        await client.until_kinds("snapshot")
        for _ in range(5):
            await world.append(room_id)
        await client.ended()
        assert client.kinds == ["snapshot", "events", "events"]


async def test_a_replay_ends_when_it_is_up_to_date(world: World, worker: Worker, room_id: str) -> None:
    await world.append(room_id, 5)
    async with world.watch(worker, room_id, replay_only=True) as client:
        await client.ended()
        assert client.kinds == ["snapshot"]
    after = Cursor((await world.head(room_id)).epoch, 3).encode()
    async with world.watch(worker, room_id, after, replay_only=True) as client:
        await client.ended()
        assert client.events == [event(4), event(5)]
    async with world.watch(worker, room_id, client.cursor, replay_only=True) as client:
        await client.ended()
        assert client.frames == []


async def test_a_replay_ends_at_the_end_of_the_log_not_of_what_this_worker_has_heard(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id, 3, publish=False)
        async with world.watch(worker, room_id, client.cursor, replay_only=True) as replay:
            await replay.ended()
            assert replay.events == [event(1), event(2), event(3)]


async def test_a_replayed_frame_tells_the_time_of_the_stream_not_of_the_first_one(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id)
        await client.until_seq(1)
        first = client.frames[-1].server_time.ToNanoseconds()
        await asyncio.sleep(0.05)
        async with world.watch(worker, room_id, client.frames[0].cursor) as late:
            await late.until_seq(1)
            assert late.frames[0].server_time.ToNanoseconds() - first >= 50_000_000
            assert late.frames[0].queue_delay.ToMilliseconds() < 40


async def test_draining_sends_everybody_away_with_a_cursor_at_spread_times(
    world: World, room_id: str
) -> None:
    async with world.worker() as worker, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(world.watch(worker, room_id)) for _ in range(20)]
        await world.append(room_id, 3)
        for client in clients:
            await client.until_seq(3)
        draining = asyncio.create_task(worker.hub.drain())
        delays = set()
        for client in clients:
            await client.ended()
            assert client.kinds[-1] == "reconnect"
            assert client.frames[-1].reconnect.cause == ReconnectCause.RECONNECT_CAUSE_DRAINING
            assert seq_of(client.cursor) == 3
            delays.add(client.frames[-1].reconnect.delay.ToMilliseconds())
        assert len(delays) > 10
        assert max(delays) <= 5000
        with pytest.raises(MusterError) as caught:
            async with world.watch(worker, room_id):
                pass
        assert caught.value.reason is Reason.DRAINING
        await stack.aclose()
        await draining


async def test_draining_does_not_wait_for_ever(world: World, worker: Worker, room_id: str) -> None:
    async with world.watch(worker, room_id) as client:
        client.gate.clear()
        await worker.hub.drain(grace_seconds=0.05)
        assert not client.serving.done()


async def test_a_service_can_end_a_stream(world: World, worker: Worker, room_id: str) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        client.feed.end()
        await client.ended()
        assert client.kinds == ["snapshot"]


async def test_hooks_hear_every_event_once_and_one_that_fails_stops_nobody(
    world: World, worker: Worker, room_id: str
) -> None:
    heard: list[bytes] = []

    def fail(_: str, __: object) -> None:
        raise RuntimeError

    worker.hub.on_run(fail)
    worker.hub.on_run(lambda room, events: heard.extend(events) if room == room_id else None)
    async with world.watch(worker, room_id) as client, world.watch(worker, room_id):
        await client.until_kinds("snapshot")
        await world.append(room_id, 2)
        await world.append(room_id, 2, publish=False)
        await world.append(room_id)
        await client.until_seq(5)
        assert heard == client.events == [event(seq) for seq in range(1, 6)]


async def test_signals_reach_the_hooks_of_every_worker(
    world: World, worker: Worker, other_worker: Worker, room_id: str
) -> None:
    heard: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue()
    worker.hub.on_signal(lambda room, payload: heard.put_nowait(("one", room, payload)))
    other_worker.hub.on_signal(lambda room, payload: heard.put_nowait(("other", room, payload)))
    async with world.watch_views(worker, room_id), world.watch_views(other_worker, room_id):
        await world.publisher.signal(room_id, b"wave")
        got = set()
        async with asyncio.timeout(5):
            while len(got) < 2:
                message = await heard.get()
                got |= {message} if message[2] else set()
        assert got == {("one", room_id, b"wave"), ("other", room_id, b"wave")}


async def test_reactions_are_merged_into_one_frame(world: World, worker: Worker, room_id: str) -> None:
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        for _ in range(100):
            client.feed.room.toss(Counts({"heart": 1}, lambda counts: repr(counts).encode()))
        await client.until(lambda: "lossy" in client.kinds)
        assert client.of_kind("lossy") == [b"{'heart': 100}"]
        assert seq_of(client.cursor) == 0


async def test_a_slow_client_gets_reactions_summed_up_and_is_told(world: World, room_id: str) -> None:
    tuning = Tuning(lossy_seconds=0.005, lag_seconds=0.01)
    async with world.worker(tuning) as worker, world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        client.gate.clear()
        room = client.feed.room
        for batch in range(1, 31):
            room.toss(Counts({"heart": 1}, lambda counts: repr(counts["heart"]).encode()))
            await eventually(lambda batch=batch: room.lossy.batch_count == batch)
        client.gate.set()
        await client.until(lambda: "lag" in client.kinds)
        # One was being written, sixteen are kept; the others are gone, and said to be.
        assert client.of_kind("lossy") == [b"1", b"16"]
        assert client.of_kind("lag")[0].lossy_dropped == 28


async def test_a_ticket_is_renewed_until_it_has_run_out(world: World, worker: Worker, room_id: str) -> None:
    answers: list[bytes | MusterError | None] = [b"second", b"third", None]

    async def renew() -> bytes | None:
        answer = answers.pop(0)
        if isinstance(answer, MusterError):
            raise answer
        return answer

    renewal = Renewal(every_seconds=0.01, renew=renew)
    async with world.watch(worker, room_id, renewal=renewal) as client:
        await client.ended()
        assert client.of_kind("ticket") == [b"second", b"third"]
        assert client.frames[-1].reconnect.cause == ReconnectCause.RECONNECT_CAUSE_TICKET_EXPIRED


async def test_a_ticket_that_cannot_be_renewed_now_does_not_end_the_stream(
    world: World, worker: Worker, room_id: str
) -> None:
    tried = asyncio.Event()

    async def renew() -> bytes | None:
        tried.set()
        raise MusterError(Reason.UNAVAILABLE)

    async with world.watch(worker, room_id, renewal=Renewal(every_seconds=0.01, renew=renew)) as client:
        async with asyncio.timeout(5):
            await tried.wait()
        await world.append(room_id)
        await client.until_seq(1)
        client.feed.send_ticket(b"by hand")
        await client.until(lambda: client.of_kind("ticket") == [b"by hand"])
