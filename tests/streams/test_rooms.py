"""Snapshots that are shared, and rooms: whose they are, and when they are let go."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.streams import Cursor, Tuning

from tests.one_server import of_one_server
from tests.streams.rooms import NORTH, QUICK, Worker, World, event
from tests.waiting import until


async def test_a_snapshot_older_than_the_log_is_a_fault_and_no_endless_loop(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 10)
    await world.trim(room_id, 6)

    async def old() -> tuple[int, bytes]:
        return 1, b"state after 1"

    async with world.watch(worker, room_id, snapshot=old) as client:
        with pytest.raises(MusterError) as caught:
            await client.ended()
        assert caught.value.reason is Reason.INTERNAL
        assert client.kinds == ["snapshot", "reset", "snapshot"]


async def test_everybody_who_comes_while_nothing_changes_gets_the_same_snapshot(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 3)
    taken: list[int] = []
    options = {"snapshot": world.snapshot_of(room_id, taken), "replay_only": True}
    for _ in range(2):
        async with AsyncExitStack() as stack:
            for key in ("host", "player"):
                for _ in range(10):
                    client = await stack.enter_async_context(
                        world.watch(worker, room_id, snapshot_key=key, **options)
                    )
                    await client.ended()
                    assert client.of_kind("snapshot") == [b"state after 3"]
    assert taken == [3, 3]


async def test_those_who_come_while_the_room_changes_share_a_snapshot_and_get_what_it_lacks(
    world: World, room_id: str
) -> None:
    taken: list[int] = []
    options = {"snapshot": world.snapshot_of(room_id, taken)}
    patient = replace(QUICK, snapshot_seconds=60)
    async with world.worker(patient) as worker, AsyncExitStack() as stack:
        for seq in range(1, 11):
            for key in ("host", "player"):
                client = await stack.enter_async_context(
                    world.watch(worker, room_id, snapshot_key=key, **options)
                )
                await client.until_seq(seq - 1)
                assert client.of_kind("snapshot") == [b"state after 0"]
                assert client.events == [event(n) for n in range(1, seq)]
            await world.append(room_id)
            await client.until_seq(seq)
    assert taken == [0, 0]


@pytest.mark.parametrize(
    ("tuning", "max_frames"),
    [
        (replace(QUICK, snapshot_seconds=0), 0),
        (replace(QUICK, snapshot_seconds=60, snapshot_events=1), 0),
        (replace(QUICK, snapshot_seconds=60, ring_events=1), 0),
        (replace(QUICK, snapshot_seconds=60), 1),
    ],
    ids=["too old", "too many events", "events out of reach", "no more than a snapshot wanted"],
)
async def test_a_snapshot_that_is_too_far_from_the_present_is_taken_anew(
    world: World, room_id: str, tuning: Tuning, max_frames: int
) -> None:
    async with world.worker(tuning) as worker, world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        for seq in (1, 2):
            await world.append(room_id)
            await client.until_seq(seq)
        async with world.watch(worker, room_id, max_frames=max_frames) as late:
            await late.until(lambda: bool(late.frames))
            assert (late.frames[0].snapshot, late.events) == (b"state after 2", [])


async def test_events_that_come_while_a_snapshot_is_taken_follow_it(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 3)

    async def slow() -> tuple[int, bytes]:
        old = await world.snapshot_of(room_id)()
        await world.append(room_id, 4)
        return old

    async with world.watch(worker, room_id, snapshot=slow) as client:
        await client.until_seq(7)
        assert client.kinds[0] == "snapshot"
        assert client.events == [event(seq) for seq in range(4, 8)]


async def test_the_snapshot_of_a_client_that_leaves_is_still_given_to_the_others(
    world: World, worker: Worker, room_id: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    take = world.snapshot_of(room_id)

    async def slow() -> tuple[int, bytes]:
        begun.set()
        await go_on.wait()
        return await take()

    async with world.watch(worker, room_id, snapshot=slow) as staying:
        async with world.watch(worker, room_id, snapshot=slow):
            await begun.wait()
        go_on.set()
        await staying.until_kinds("snapshot")


async def test_a_snapshot_that_fails_fails_its_stream_and_no_later_one(
    world: World, worker: Worker, room_id: str
) -> None:
    async def failing() -> tuple[int, bytes]:
        raise MusterError(Reason.UNAVAILABLE)

    async with world.watch(worker, room_id, snapshot=failing) as client:
        with pytest.raises(MusterError):
            await client.ended()
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")


async def test_a_room_of_another_organization_is_not_found_whoever_asks_first(
    world: World, worker: Worker, room_id: str
) -> None:
    async def open_as(organization_id: str) -> None:
        take = world.snapshot_of(room_id)
        async with worker.hub.open(organization_id, room_id, b"", snapshot=take, snapshot_key="all"):
            pass

    with pytest.raises(MusterError) as caught:
        await open_as("south")
    assert caught.value.reason is Reason.NOT_FOUND
    await open_as(NORTH)
    with pytest.raises(MusterError) as caught:
        await open_as("south")
    assert caught.value.reason is Reason.NOT_FOUND


@of_one_server
async def test_a_room_that_nobody_watches_is_let_go(world: World, room_id: str) -> None:
    async with world.worker(Tuning(linger_seconds=0.1)) as worker, world.worker() as other:
        async with world.watch(worker, room_id) as client:
            await client.until_kinds("snapshot")
            assert await subscribers(world, room_id) == 1
        await until(lambda: worker.hub.room(room_id) is None)
        await no_subscribers(world, room_id)
        async with world.watch(worker, room_id) as client, world.watch(other, room_id):
            await client.until_kinds("snapshot")
            await world.append(room_id)
            await client.until_seq(1)


async def subscribers(world: World, room_id: str) -> int:
    """How many processes listen to a room."""
    answer: list[tuple[bytes, int]] = await world.redis.pubsub_numsub(f"muster:live:room:{{{room_id}}}")
    return answer[0][1]


async def no_subscribers(world: World, room_id: str) -> None:
    """Wait until nobody listens to a room."""
    async with asyncio.timeout(30):
        while True:
            if not await subscribers(world, room_id):
                return


async def test_guessing_at_room_ids_leaves_nothing_behind(world: World, worker: Worker) -> None:
    take = world.snapshot_of("guess")
    for _ in range(3):
        with pytest.raises(MusterError):
            async with worker.hub.open(NORTH, "guess", b"", snapshot=take, snapshot_key="all"):
                pass
    assert worker.hub.room("guess") is None
    await no_subscribers(world, "guess")


async def test_events_that_were_rewritten_are_read_again_once_forgotten(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, publish=False)
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        await world.append(room_id, 2)
        await client.until_seq(3)
        await world.admin.execute("UPDATE live.room_event SET payload = 'erased' WHERE room_id = $1", room_id)
        client.feed.room.forget()
        after = Cursor((await world.head(room_id)).epoch, 0).encode()
        async with world.watch(worker, room_id, after, replay_only=True) as late:
            await late.ended()
            assert late.events == [b"erased"] * 3
        await world.append(room_id)
        await client.until_seq(4)
        assert client.events == [event(2), event(3), event(4)]
