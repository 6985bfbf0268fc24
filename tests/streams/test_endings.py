"""How streams stay quiet, and how they end: heartbeats, limits, draining, tickets."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise

import pytest
from muster.stream.v1.stream_pb2 import ReconnectCause
from muster_kit.errors import MusterError, Reason
from muster_kit.streams import Cursor, Renewal, Tuning

from tests.streams.rooms import Worker, World, event, kind_of, seq_of


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
        # More than the time of a heartbeat went by; where the machine stood still that long, one is right.
        for before, frame in pairwise(client.frames):
            quiet = frame.server_time.ToDatetime() - before.server_time.ToDatetime()
            assert kind_of(frame) != "heartbeat" or quiet > timedelta(seconds=0.5)


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
        await asyncio.sleep(0.5)
        async with world.watch(worker, room_id, client.frames[0].cursor) as late:
            await late.until_seq(1)
            assert late.frames[0].server_time.ToNanoseconds() - first >= 500_000_000
            assert late.frames[0].queue_delay.ToMilliseconds() < 400


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
        async with asyncio.timeout(30):
            await tried.wait()
        await world.append(room_id)
        await client.until_seq(1)
        client.feed.send_ticket(b"by hand")
        await client.until(lambda: client.of_kind("ticket") == [b"by hand"])
