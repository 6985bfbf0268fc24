"""What services hear of their rooms, and lossy messages."""

import asyncio

from muster_kit.streams import Counts, Tuning

from tests.streams.rooms import Worker, World, event, seq_of
from tests.waiting import until


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
        async with asyncio.timeout(30):
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
            await until(lambda batch=batch: room.lossy.batch_count == batch)
        client.gate.set()
        await client.until(lambda: "lag" in client.kinds)
        # One was being written, sixteen are kept; the others are gone, and said to be.
        assert client.of_kind("lossy") == [b"1", b"16"]
        assert client.of_kind("lag")[0].lossy_dropped == 28
