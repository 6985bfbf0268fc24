"""PostgreSQL goes away and comes back under open streams; the process stands still."""

import time

import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.streams import Hub, Tuning, listener
from muster_kit.streams.background import Background
from muster_kit.streams.hub import _no_snapshot

from tests.conftest import TestStores
from tests.streams.rooms import Client, World, event
from tests.waiting import until

TUNING = Tuning(check_seconds=0.05, gap_grace_seconds=0.005)


async def test_streams_outlive_an_outage_of_the_database(
    world: World, stores: TestStores, room_id: str
) -> None:
    await world.append(room_id, 2)
    async with world.worker(TUNING) as worker, world.watch(worker, room_id) as client:
        await client.until_seq(2)
        runs = [await world.append(room_id, 2, publish=False) for _ in range(3)]
        epoch = (await world.head(room_id)).epoch
        stores.postgres.kill()
        await stores.postgres.wait()
        try:
            # Comes through Redis, and says that there is a gap, which cannot be read now.
            await world.publisher.publish(room_id, epoch, 7, runs[2])
            with pytest.raises(MusterError) as caught:
                async with world.watch(worker, room_id, snapshot_key="not taken yet") as other:
                    await other.ended()
            assert caught.value.reason is Reason.UNAVAILABLE
            assert not client.serving.done()
        finally:
            await stores.postgres.start()
        await client.until_seq(8)
        assert client.events == [event(seq) for seq in range(3, 9)]


async def test_a_hub_without_a_log_has_views_and_nothing_else(world: World) -> None:
    async with Hub(world.redis, schema="boards") as hub:
        async with hub.open_views("board") as feed, Client.of(feed) as client:
            feed.send_ticket(b"anything")
            await client.until_kinds("ticket")
            await world.redis.publish("muster:boards:room:{board}", b"\1" + b"\0" * 16)
            await until(lambda: hub._listener.connected)
        with pytest.raises(MusterError):
            async with hub.open("north", "board", b"", snapshot=_no_snapshot, snapshot_key="all"):
                pass


async def test_a_process_that_stood_still_hears_redis_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_PING_SECONDS", 0.05)
    monkeypatch.setattr(listener, "_SILENCE_SECONDS", 0.12)
    changes: list[bool] = []
    ear = listener.Listener(
        world.redis, on_message=lambda *_: None, on_change=lambda: changes.append(ear.connected)
    )
    background = Background()
    background.spawn(ear.run(), name="listener")
    await until(lambda: changes[:1] == [True])
    # Not a wait: the next ping and the end of patience with the last one come due in one turn.
    time.sleep(0.3)  # noqa: ASYNC251
    await until(lambda: changes[:3] == [True, False, True])
    await background.close()
