"""Open streams: here as long as one is open, on whichever worker, and nobody blinks on a reload."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import (
    LEAVE_CAUSE_LEFT,
    LEAVE_CAUSE_VANISHED,
    PRESENCE_STATE_AWAY,
    Activity,
    ScopeEvent,
)
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.presence.v1.scope_pb2 import ScopeEntry
from muster.stream.v1.stream_pb2 import RECONNECT_CAUSE_DRAINING, RECONNECT_CAUSE_TICKET_EXPIRED
from muster_kit.clock import SystemClock
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_presence.app import build
from muster_presence.model import ScopeId, ScopeKind, Timing
from muster_presence.model_inbox import inbox_room
from muster_presence.scope_keys import keys_of, room_of
from muster_presence.scope_log import RedisScopeLog
from muster_presence.settings import PresenceServiceSettings
from muster_stack.hosting import Host

from tests.conftest import TestStores
from tests.rpc.house import House, Metadata, _free_port, reason_of
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_workers import Workers, open_workers

GRACE = timedelta(seconds=0.5)
SECONDS = 15


@pytest.fixture(scope="module")
async def workers(house: House) -> AsyncIterator[Workers]:
    """Two workers whose streams have a short grace."""
    async with open_workers(house, PresenceServiceSettings(return_grace=GRACE)) as workers:
        yield workers


@pytest.fixture
def gathering(workers: Workers) -> Gathering:
    return Gathering(workers.houses[0])


@asynccontextmanager
async def connected(
    gathering: Gathering, who: Metadata, *, house: House | None = None, device_id: str = "phone", **said: Any
) -> AsyncIterator[Any]:
    """Have a stream open; given once the device is here."""
    request = pb.ConnectRequest(device_id=device_id, **said)
    call = (house or gathering.house).presence.Connect(request, metadata=who)
    try:
        async with asyncio.timeout(SECONDS):
            frame = await call.read()
            while frame.WhichOneof("frame") != "view":
                frame = await call.read()
        yield call
    finally:
        call.cancel()


async def told(gathering: Gathering, redis_url: str) -> list[ScopeEvent]:
    """All that happened in the session."""
    scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
    async with open_redis(redis_url) as redis:
        log, room_id = RedisScopeLog(redis, SystemClock(), Timing()), room_of(scope, with_staff=True)
        head = (await log.heads([room_id]))[room_id]
        stored = await log.read(scope.organization_id, room_id, epoch=head.epoch, after_seq=0, limit=999)
    return [ScopeEvent.FromString(each.payload) for each in stored]


async def kinds(gathering: Gathering, stores: TestStores) -> list[str | None]:
    """The kinds of all that happened in the session."""
    return [event.WhichOneof("event") for event in await told(gathering, stores.redis_url)]


async def until_here(gathering: Gathering, *user_ids: str) -> None:
    """Wait until exactly these are in the session."""
    viewer = gathering.guest("viewer")
    async with asyncio.timeout(SECONDS):
        while await gathering.here(viewer) != list(user_ids):  # noqa: ASYNC110 - a service is asked
            await asyncio.sleep(0.02)


async def test_a_stream_begins_with_the_inbox_and_the_lease(gathering: Gathering) -> None:
    request = pb.ConnectRequest(device_id="phone", max_frames=2)
    call = gathering.house.presence.Connect(request, metadata=gathering.guest("ana"))
    frames = [frame async for frame in call]
    assert [frame.WhichOneof("frame") for frame in frames] == ["snapshot", "view"]
    lease = frames[1].view.lease
    assert list(lease.scopes) == [gathering.scope]
    left = lease.expire_time.ToDatetime() - frames[1].server_time.ToDatetime()
    assert timedelta(0) <= timedelta(seconds=15) + GRACE - left < timedelta(seconds=1)


async def test_a_cursor_of_no_inbox_starts_over(gathering: Gathering) -> None:
    request = pb.ConnectRequest(device_id="phone", after=b"x", replay_only=True)
    call = gathering.house.presence.Connect(request, metadata=gathering.guest("ana"))
    assert [frame.WhichOneof("frame") async for frame in call] == ["reset", "snapshot", "view"]


async def test_who_is_connected_is_here_until_the_grace_is_over(
    gathering: Gathering, stores: TestStores
) -> None:
    async with connected(gathering, gathering.guest("ana")):
        await until_here(gathering, "ana")
    await until_here(gathering)
    events = await told(gathering, stores.redis_url)
    assert [event.WhichOneof("event") for event in events] == ["entered", "left"]
    assert events[1].left.cause == LEAVE_CAUSE_VANISHED
    gone_after = events[1].create_time.ToDatetime() - events[0].create_time.ToDatetime()
    assert gone_after >= GRACE


async def test_a_reload_never_blinks(house: House, stores: TestStores) -> None:
    # With the grace that deployments have: reloads take their time on a busy machine.
    async with open_workers(house, PresenceServiceSettings()) as workers:
        gathering = Gathering(workers.houses[0])
        ana = gathering.guest("ana")
        for number in range(6):
            async with connected(gathering, ana, house=workers.houses[number % 2]):
                assert await gathering.here(ana) == ["ana"]
        await gathering.leave(ana)
        assert await kinds(gathering, stores) == ["entered", "left"]


async def test_two_tabs_of_one_device_are_here_until_the_last_is_closed(
    gathering: Gathering, workers: Workers, stores: TestStores
) -> None:
    ana = gathering.guest("ana")
    async with connected(gathering, ana), connected(gathering, ana, house=workers.houses[1]):
        async with connected(gathering, ana):
            pass
        # Longer than the grace, with a sweep.
        async with connected(gathering, gathering.guest("bo"), device_id="bos"):
            await until_here(gathering, "ana", "bo")
        await until_here(gathering, "ana")
    await until_here(gathering)
    assert await kinds(gathering, stores) == ["entered", "entered", "left", "left"]


async def test_a_goodbye_counts_while_the_stream_is_open(
    gathering: Gathering, workers: Workers, stores: TestStores
) -> None:
    ana = gathering.guest("ana")
    async with connected(gathering, ana):
        # At another worker, which does not have the stream.
        elsewhere = replace(gathering, house=workers.houses[1])
        await elsewhere.leave(ana)
        assert await gathering.here(ana) == []
        await workers.apps[0]._connections._renew()
        assert await gathering.here(ana) == []
        assert workers.apps[0]._connections._held == {}
    events = await told(gathering, stores.redis_url)
    assert [event.WhichOneof("event") for event in events] == ["entered", "left"]
    assert events[1].left.cause == LEAVE_CAUSE_LEFT


async def test_a_stream_brings_people_back_after_a_loss_as_having_been_here(
    gathering: Gathering, workers: Workers, stores: TestStores
) -> None:
    ana = gathering.guest("ana")
    async with connected(gathering, ana, activity=Activity(kind="block")):
        request = pb.ListActiveRequest(scope=gathering.scope)
        (before,) = (await gathering.house.presence.ListActive(request, metadata=ana)).people
        scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
        async with open_redis(stores.redis_url) as redis:
            await redis.delete(*keys_of(scope))
        # The renewal of the process itself, every few seconds.
        await until_here(gathering, "ana")
        (after,) = (await gathering.house.presence.ListActive(request, metadata=ana)).people
        assert after.enter_time == before.enter_time
        assert after.activity.kind == "block"
        assert after.display_name == before.display_name


@pytest.mark.parametrize("how", ["SetActivity", "Heartbeat"])
async def test_what_was_said_at_any_worker_comes_back_after_a_loss_too(
    gathering: Gathering, workers: Workers, stores: TestStores, how: str
) -> None:
    ana = gathering.guest("ana")
    connections = workers.apps[0]._connections

    async def does() -> tuple[str, str, bool]:
        request = pb.ListActiveRequest(scope=gathering.scope)
        (one,) = (await gathering.house.presence.ListActive(request, metadata=ana)).people
        return one.activity.kind, one.activity.target_id, one.state == PRESENCE_STATE_AWAY

    async with connected(gathering, ana, activity=Activity(kind="block")):
        elsewhere = replace(gathering, house=workers.houses[1])
        if how == "SetActivity":
            await elsewhere.do(ana, "exercise", target_id="squats")
        else:
            await elsewhere.beat(
                ana, activity=Activity(kind="exercise"), scopes=[gathering.entry("ana")], away=True
            )
        said = await does()
        assert said == ("exercise", "squats" if how == "SetActivity" else "", how == "Heartbeat")
        await connections._renew()
        scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
        async with open_redis(stores.redis_url) as redis:
            await redis.delete(*keys_of(scope))
        await connections._renew()
        assert await does() == said


async def test_a_stream_keeps_where_its_device_has_beaten(gathering: Gathering, workers: Workers) -> None:
    ana = gathering.user("ana")
    async with connected(gathering, ana):
        await gathering.beat(ana, scopes=[gathering.entry("ana")])
        held = {spot.scope.kind for spot in workers.apps[0]._connections._held}
        assert held == {ScopeKind.ORGANIZATION, ScopeKind.SESSION}
    await until_here(gathering)
    assert workers.apps[0]._connections._held == {}


async def test_nothing_is_left_of_streams_that_have_ended(gathering: Gathering, workers: Workers) -> None:
    for name in ("ana", "bo"):
        async with connected(gathering, gathering.guest(name)):
            pass
    await until_here(gathering)
    connections = workers.apps[0]._connections
    assert not connections._held
    assert not connections._open


async def test_a_stream_ends_with_the_token(gathering: Gathering) -> None:
    request = pb.ConnectRequest(device_id="phone")
    call = gathering.house.presence.Connect(request, metadata=gathering.briefly("ana"))
    async with asyncio.timeout(SECONDS):
        frames = [frame async for frame in call]
    assert frames[-1].reconnect.cause == RECONNECT_CAUSE_TICKET_EXPIRED


async def test_who_has_no_ticket_does_not_connect(gathering: Gathering) -> None:
    request = pb.ConnectRequest(device_id="phone", scopes=[ScopeEntry(scope=gathering.scope)])
    call = gathering.house.presence.Connect(request, metadata=gathering.user("ana"))
    assert await reason_of(call.read()) is Reason.NOT_FOUND


async def test_a_worker_that_goes_away_sends_its_streams_elsewhere_without_a_blink(
    house: House, workers: Workers, stores: TestStores
) -> None:
    gathering = Gathering(workers.houses[0])
    ana = gathering.guest("ana")
    address = f"127.0.0.1:{_free_port()}"
    settings = house.settings.model_copy(update={"listen": address})
    app = build(settings, PresenceServiceSettings(return_grace=GRACE))
    async with AsyncExitStack() as exits:
        host = await exits.enter_async_context(Host(settings, [app]))
        channel = await exits.enter_async_context(grpc.aio.insecure_channel(address))
        leaving = replace(house, presence=PresenceServiceStub(channel))
        async with connected(gathering, ana, house=leaving) as call:
            room_id = inbox_room(gathering.organization, "ana")
            async with asyncio.timeout(SECONDS):
                while not ((room := app._people.room(room_id)) and room.streams):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            await app.drain()
            frame = await call.read()
            assert frame.reconnect.cause == RECONNECT_CAUSE_DRAINING
        del host
    # The grace is over, and the device is still here: it was told to take its time.
    await asyncio.sleep(2 * GRACE.total_seconds() + 1)
    assert await gathering.here(ana) == ["ana"]
    async with connected(gathering, ana):
        pass
    await until_here(gathering)
    assert await kinds(gathering, stores) == ["entered", "left"]
