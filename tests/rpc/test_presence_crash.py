"""The ledger after a process was killed, and after the index was lost, with all parts real."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import grpc
import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import LEAVE_CAUSE_VANISHED, PresenceInterval
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_kit.caller import OrganizationRole
from muster_kit.redis_client import open_redis
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.scope_keys import keys_of

from tests.conftest import TestStores
from tests.e2e.running import MUSTER
from tests.rpc.house import House, _free_port, open_house
from tests.rpc.presence_guests import Gathering
from tests.waiting import until

TIMING = {
    "MUSTER_PRESENCE_BEAT_INTERVAL": "PT1S",
    "MUSTER_PRESENCE_STALE_AFTER": "PT2S",
    "MUSTER_PRESENCE_RETURN_GRACE": "PT0.5S",
}


@pytest.fixture(scope="module")
async def brisk_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house in which people are soon missed."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in TIMING.items():
            environment.setenv(name, value)
        async with open_house(stores, tmp_path_factory.mktemp("brisk")) as house:
            app: Any = house.apps["presence"]
            app._reconciler._every_seconds = 0.2
            yield house


@pytest.fixture
def gathering(brisk_house: House) -> Gathering:
    return Gathering(brisk_house)


@contextlib.asynccontextmanager
async def another_process(house: House) -> AsyncIterator[tuple[House, asyncio.subprocess.Process]]:
    """Run presence in a process of its own, over the same stores."""
    settings, address = house.settings, f"127.0.0.1:{_free_port()}"
    secrets = (settings.user_token_secret, settings.service_token_secret)
    assert all(secrets)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "MUSTER_DATABASE_URL": settings.database_url,
        "MUSTER_WRITER_DATABASE_URL": settings.writer_database_url,
        "MUSTER_REDIS_URL": settings.redis_url,
        "MUSTER_USER_TOKEN_SECRET": secrets[0].get_secret_value() if secrets[0] else "",
        "MUSTER_SERVICE_TOKEN_SECRET": secrets[1].get_secret_value() if secrets[1] else "",
        "MUSTER_TICKET_PRIVATE_KEY_FILE": str(settings.ticket_private_key_file),
        "MUSTER_LISTEN": address,
        **TIMING,
    }
    process = await asyncio.create_subprocess_exec(MUSTER, "serve", "presence", env=environment)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            async with asyncio.timeout(30):
                await channel.channel_ready()
            yield replace(house, presence=PresenceServiceStub(channel)), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def nothing_written(house: House) -> AsyncIterator[None]:
    """Hold up whatever is to be written into the ledger."""
    connection = await asyncpg.connect(house.urls.admin_url)
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended('muster.presence.erasure', 0))")
        yield
    finally:
        await connection.close()


async def stays(gathering: Gathering, user_id: str) -> list[PresenceInterval]:
    """Return someone's stays, last come first."""
    admin = gathering.user("admin", OrganizationRole.ADMIN)
    request = pb.ListHistoryRequest(user_id=user_id)
    reply = await gathering.house.presence.ListHistory(request, metadata=admin)
    return list(reply.intervals)


async def has_left(gathering: Gathering, user_id: str) -> bool:
    """Whether the ledger knows that someone came and went."""
    found = await stays(gathering, user_id)
    return bool(found) and all(stay.HasField("leave_time") for stay in found)


async def has_one_stay(gathering: Gathering, user_id: str) -> bool:
    """Whether the ledger has one visit of someone."""
    return len(await stays(gathering, user_id)) == 1


async def test_what_a_killed_process_had_not_written_is_found(
    gathering: Gathering, brisk_house: House
) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    async with another_process(brisk_house) as (house, process):
        elsewhere = replace(gathering, house=house)
        await elsewhere.beat(ana)
        await until(lambda: stays(gathering, "ana"), seconds=5)
        async with nothing_written(brisk_house):
            reply = await elsewhere.beat(ana)
            await elsewhere.leave(ana)
            await elsewhere.beat(bo)
            process.kill()
            await process.wait()
            assert not await has_left(gathering, "ana")
            assert await stays(gathering, "bo") == []
    await until(lambda: stays(gathering, "bo"))
    await until(lambda: has_left(gathering, "ana"))
    (stay,) = await stays(gathering, "ana")
    # The index still knew when: right behind the last beat.
    since = stay.leave_time.ToDatetime() - reply.server_time.ToDatetime()
    assert abs(since.total_seconds()) < 1
    # Bo has vanished meanwhile, as the other process has noticed.
    await until(lambda: has_left(gathering, "bo"))
    assert (await stays(gathering, "bo"))[0].cause == LEAVE_CAUSE_VANISHED


async def test_nobody_who_comes_back_is_marked_absent_after_a_loss(
    gathering: Gathering, brisk_house: House
) -> None:
    ana, bo, cy = (gathering.guest(name) for name in ("ana", "bo", "cy"))
    stream = gathering.house.presence.Connect(pb.ConnectRequest(device_id="phone"), metadata=ana)
    await stream.read()
    await gathering.beat(bo)
    await gathering.beat(cy)
    for user_id in ("ana", "bo", "cy"):
        await until(lambda user_id=user_id: stays(gathering, user_id))  # type: ignore[misc]
    scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
    async with open_redis(brisk_house.settings.redis_url) as redis:
        await redis.delete(*keys_of(scope))
    lost = (await gathering.beat(bo)).server_time.ToDatetime()

    async def cy_has_left() -> bool:
        await gathering.beat(bo)
        assert not await has_left(gathering, "ana")
        assert not await has_left(gathering, "bo")
        return await has_left(gathering, "cy")

    await until(cy_has_left)
    (stay,) = await stays(gathering, "ana")
    assert not stay.HasField("leave_time")
    # What was taken for a second visit is found to be the first, right after cy is found to be gone.
    await until(lambda: has_one_stay(gathering, "bo"))
    (stay,) = await stays(gathering, "bo")
    assert not stay.HasField("leave_time")
    assert stay.enter_time.ToDatetime() < lost
    (gone,) = await stays(gathering, "cy")
    assert gone.enter_time.ToDatetime() <= gone.leave_time.ToDatetime() <= lost
    assert gone.cause == LEAVE_CAUSE_VANISHED
    stream.cancel()
