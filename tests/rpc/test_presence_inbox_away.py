"""PostgreSQL goes away: who is connected stays, who comes is here, and their inboxes wait."""

import asyncio

import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import House, open_house, reason_of
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_inbox import SECONDS, kinds_of, listening, notify


async def test_connections_outlive_an_outage_of_the_database(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with open_house(stores, tmp_path_factory.mktemp("away"), heartbeat_seconds=(0.1, 0.2)) as house:
        await _outlive(house, stores)


async def _outlive(house: House, stores: TestStores) -> None:
    gathering = Gathering(house)
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    async with listening(house, ana) as here:
        stores.postgres.kill()
        await stores.postgres.wait()
        try:
            await here.until("heartbeat")
            async with listening(house, bo, device_id="bos") as came:
                await came.until("heartbeat")
                assert {frame.WhichOneof("frame") for frame in came.frames} == {"view", "heartbeat"}
                assert came.cursor == b""
                assert set(await gathering.here(ana)) == {"ana", "bo"}
                bounded = pb.ConnectRequest(device_id="bos", replay_only=True)
                call = house.presence.Connect(bounded, metadata=bo)
                assert await reason_of(call.read()) is Reason.UNAVAILABLE
                assert await reason_of(notify(gathering, "bo", kind="lost")) is Reason.UNAVAILABLE
                await stores.postgres.start()
                await came.until("snapshot")
                async with asyncio.timeout(SECONDS):
                    await _notified(gathering, "ana", "bo")
                for each in (came, here):
                    assert kinds_of(await each.events(1)) == ["after"]
        finally:
            if stores.postgres.pid is None:
                await stores.postgres.start()


async def _notified(gathering: Gathering, *user_ids: str) -> None:
    while True:
        try:
            await notify(gathering, *user_ids, kind="after", request_id="after")
        except Exception:  # noqa: BLE001 - it is back when this succeeds
            await asyncio.sleep(0.1)
        else:
            return
