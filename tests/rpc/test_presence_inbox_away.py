"""PostgreSQL goes away: who is connected stays, who comes is here, and their inboxes wait."""

import asyncio

import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import ACTIVITY_AUDIENCE_FRIENDS
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_kit.streams.publisher import channel_of, encode_signal
from muster_presence.scope_keys import bell_room

from tests.conftest import TestStores
from tests.rpc.house import House, open_house, reason_of
from tests.rpc.presence_friends import Club, doing
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_inbox import SECONDS, kinds_of, listening, notify

FOR_FRIENDS = doing("exercise", ACTIVITY_AUDIENCE_FRIENDS)


async def test_connections_outlive_an_outage_of_the_database(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with open_house(stores, tmp_path_factory.mktemp("away"), heartbeat_seconds=(0.1, 0.2)) as house:
        await _outlive(house, stores)


async def _outlive(house: House, stores: TestStores) -> None:
    gathering = Gathering(house)
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    await Club(house, gathering.organization).befriend("ana", "bo")
    async with listening(house, ana, include_friends=True) as here:
        assert not (await here.until("view")).friends
        stores.postgres.kill()
        await stores.postgres.wait()
        try:
            await here.until("heartbeat")
            await _ask_who_is_a_friend(stores, gathering.organization)
            async with listening(house, bo, device_id="bos", activity=FOR_FRIENDS) as came:
                await came.until("heartbeat")
                async with asyncio.timeout(SECONDS):
                    assert [friend.user_id for friend in (await here.until("view")).friends] == ["bo"]
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


async def _ask_who_is_a_friend(stores: TestStores, organization: str) -> None:
    """Have the worker look who is a friend, which it cannot."""
    async with open_redis(stores.redis_url) as redis:
        await redis.publish(channel_of("presence", bell_room(organization)), encode_signal(b"fana"))


async def _notified(gathering: Gathering, *user_ids: str) -> None:
    while True:
        try:
            await notify(gathering, *user_ids, kind="after", request_id="after")
        except Exception:  # noqa: BLE001 - it is back when this succeeds
            await asyncio.sleep(0.1)
        else:
            return
