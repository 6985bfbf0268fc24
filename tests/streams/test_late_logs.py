"""A log that is away while streams of it are opened: those that may wait begin when it is back."""

from contextlib import AsyncExitStack

import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.streams import Cursor, SharedView, Tuning

from tests.conftest import TestStores
from tests.streams.rooms import World, event

TUNING = Tuning(check_seconds=0.05, gap_grace_seconds=0.005)


async def test_a_stream_that_may_wait_begins_when_the_log_is_back(
    world: World, stores: TestStores, room_id: str
) -> None:
    await world.append(room_id, 3)
    cursor = Cursor((await world.head(room_id)).epoch, 1).encode()
    async with world.worker(TUNING) as worker, AsyncExitStack() as exits:
        stores.postgres.kill()
        await stores.postgres.wait()
        try:
            with pytest.raises(MusterError) as caught:
                async with world.watch(worker, room_id, may_wait=True, replay_only=True):
                    pass
            assert caught.value.reason is Reason.UNAVAILABLE
            resumed, begun = [
                await exits.enter_async_context(world.watch(worker, room_id, after, may_wait=True))
                for after in (cursor, b"")
            ]
            worker.hub.offer(room_id, "lease", SharedView(1, whole=lambda: b"here"))
            for client in (resumed, begun):
                await client.until_kinds("view")
                # Who has a cursor keeps it.
                assert client.cursor == b""
        finally:
            await stores.postgres.start()
        await resumed.until_seq(3)
        await begun.until_kinds("view", "snapshot")
        assert resumed.events == [event(2), event(3)]
        assert begun.events == []
        assert "reset" not in resumed.kinds + begun.kinds
        assert not worker.hub._late
