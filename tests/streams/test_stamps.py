"""Stamps: what a stream is handed live says when; what it reads later says nothing of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from muster.stream.v1.stream_pb2 import Envelope
from muster_kit.streams import Tuning

from tests.streams.rooms import Worker, World
from tests.waiting import until


def stamp(first_seq: int, last_seq: int) -> Callable[[datetime], bytes] | None:
    """Mark every run that holds event 2."""
    if not first_seq <= 2 <= last_seq:
        return None
    return lambda now: f"{first_seq} {last_seq} {now.isoformat()}".encode()


def time_of(frame: Envelope) -> datetime:
    """When the stream was handed the frame."""
    return datetime.fromisoformat(frame.delivery_stamp.decode().split()[2])


def stamped(frames: list[Envelope]) -> list[bool]:
    return [bool(frame.delivery_stamp) for frame in frames]


async def test_each_stream_is_told_when_it_was_handed_what_was_asked_for(
    world: World, worker: Worker, room_id: str
) -> None:
    async with (
        world.watch(worker, room_id, stamp=stamp) as one,
        world.watch(worker, room_id, stamp=stamp) as two,
        world.watch(worker, room_id) as other,
    ):
        for client in (one, two, other):
            await client.until_kinds("snapshot")
        before = datetime.now(UTC)
        for seq in (1, 2, 3):
            await world.append(room_id)
            for client in (one, two, other):
                await client.until_seq(seq)
        assert stamped(one.frames) == stamped(two.frames) == [False, False, True, False]
        assert stamped(other.frames) == [False] * 4
        assert one.frames[2].delivery_stamp.startswith(b"2 2 ")
        times = [time_of(client.frames[2]) for client in (one, two)]
        assert times[0] != times[1]
        assert all(before <= time <= datetime.now(UTC) for time in times)
        # The stamp is part of one stream's frame alone.
        assert one.frames[2].events == other.frames[2].events


async def test_what_happened_before_the_stream_was_opened_has_no_stamp(
    world: World, worker: Worker, other_worker: Worker, room_id: str
) -> None:
    async with world.watch(worker, room_id, stamp=stamp) as client:
        await client.until_kinds("snapshot")
        cursor = client.cursor
        await world.append(room_id, 3)
        await client.until_seq(3)
        assert stamped(client.frames) == [False, True]
        # From the ring of the worker, and from the log where nobody watched.
        for place in (worker, other_worker):
            async with world.watch(place, room_id, cursor, stamp=stamp) as late:
                await late.until_seq(3)
                assert late.events == client.events
                assert stamped(late.frames) == [False]


async def test_a_client_that_does_not_read_is_not_told_later_for_it(world: World, room_id: str) -> None:
    allowed = timedelta(milliseconds=100)
    tuning = Tuning(check_seconds=30, stamp_seconds=allowed.total_seconds())
    async with world.worker(tuning) as worker, world.watch(worker, room_id, stamp=stamp) as client:
        await client.until_kinds("snapshot")
        client.gate.clear()
        await world.append(room_id)
        await world.append(room_id)
        tail, loop = client.feed.room.tail, asyncio.get_running_loop()
        await until(lambda: tail.head == 2)
        enough = loop.time() + 5 * tuning.stamp_seconds
        await until(lambda: loop.time() > enough)
        client.gate.set()
        await client.until_seq(2)
        made = client.frames[-1].server_time.ToDatetime(UTC)
        assert timedelta() < time_of(client.frames[-1]) - made <= allowed + timedelta(milliseconds=100)
