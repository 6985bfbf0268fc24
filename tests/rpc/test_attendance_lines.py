"""Devices on the channels of a session: counted there, and kept track of as the channel is configured."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from muster.presence.v1 import channel_pb2
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_ACTIVE, PRESENCE_STATE_STALE
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, Scope, ScopeEntry
from muster_kit.caller import RoomRole
from muster_kit.clock import SystemClock
from muster_kit.db import Database
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import open_redis
from muster_presence.model import ScopeId, ScopeKind, Step, Verb
from muster_presence.model_channels import MAIN, USUAL, Line, OnChannel
from muster_presence.store_intervals_postgres import PostgresIntervals
from muster_presence.store_postgres_lines import PostgresLines
from muster_presence.store_redis import RedisPresence
from muster_presence.usecases_channels import ScopeDevices, total
from muster_presence.usecases_lines import Lines

from tests.conftest import TestStores
from tests.rpc.house import House, error_of
from tests.rpc.presence_index import TIMING, Place, TurnedClock
from tests.rpc.registers import ACTIVE, Register, new_register
from tests.waiting import until

Configuration = channel_pb2.ChannelConfiguration
QUICK = Configuration(
    heartbeat_interval=Duration(seconds=5),
    stale_after=Duration(seconds=10),
    return_grace=Duration(seconds=2),
)


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ACTIVE, (0, None))
    for name, configuration in (("projector", Configuration()), ("remote", QUICK)):
        await register.call("ConfigureChannel", name=name, configuration=configuration)
    return register


async def beat(register: Register, user_id: str, channel: str | None = None, **fields: Any) -> Any:
    """Beat in the session on a channel, on the main one for an empty name, or without saying where."""
    entries = [] if channel is None else [ScopeEntry(scope=register.scope, channel=channel)]
    request = presence_pb.HeartbeatRequest(device_id="phone", scopes=entries)
    return await register.house.presence.Heartbeat(request, metadata=register.ticket(user_id, **fields))


async def counts(register: Register) -> dict[str, int]:
    """Return how many devices are on each channel."""
    channels = (await register.call("ListChannels")).channels
    return {channel.name: channel.connection_count for channel in channels}


async def test_devices_count_on_the_channel_they_name(register: Register) -> None:
    await beat(register, "ana", "projector")
    await beat(register, "bo")
    await beat(register, "cy", "main")
    assert await counts(register) == {"main": 2, "projector": 1, "remote": 0}
    # One that says nothing stays where it is.
    await beat(register, "ana")
    assert await counts(register) == {"main": 2, "projector": 1, "remote": 0}
    await beat(register, "ana", "")
    assert await counts(register) == {"main": 3, "projector": 0, "remote": 0}
    request = presence_pb.LeaveRequest(device_id="phone")
    await register.house.presence.Leave(request, metadata=register.ticket("ana"))
    assert await counts(register) == {"main": 2, "projector": 0, "remote": 0}
    # What was done there is known, though nobody is there any more.
    acted = {each.name: each.HasField("last_activity_time") for each in (await _channels(register))}
    assert acted == {"main": True, "projector": True, "remote": False}


async def test_a_stream_is_on_its_channel_as_long_as_it_is_open(register: Register) -> None:
    entry = ScopeEntry(scope=register.scope, channel="remote")
    request = presence_pb.ConnectRequest(device_id="phone", scopes=[entry])
    call = register.house.presence.Connect(request, metadata=register.ticket("ana"))
    lease = (await _view(call)).lease
    assert (lease.next_beat_delay, lease.stale_after) == (Duration(seconds=5), Duration(seconds=10))
    assert (await counts(register))["remote"] == 1
    call.cancel()
    # Its grace is over sooner than that of others.
    await until(lambda: _is_empty(register, "remote"))


async def test_how_often_to_beat_is_told_by_the_channel_and_follows_it(register: Register) -> None:
    for lease in [(await beat(register, "ana", channel)).lease for channel in ("remote", None)]:
        assert (lease.next_beat_delay, lease.stale_after) == (Duration(seconds=5), Duration(seconds=10))
    usual = (await beat(register, "bo", "projector")).lease
    assert (usual.next_beat_delay, usual.stale_after) == (Duration(seconds=15), Duration(seconds=30))
    slow = Configuration(heartbeat_interval=Duration(seconds=60), stale_after=Duration(seconds=120))
    await register.call("ConfigureChannel", name="remote", configuration=slow)

    async def is_slow() -> bool:
        # It does not say where it is.
        lease = (await beat(register, "ana")).lease
        return bool(
            (lease.next_beat_delay, lease.stale_after) == (Duration(seconds=60), Duration(seconds=120))
        )

    await until(is_slow)
    # The index has been told as well.
    scope = ScopeId(register.school.organization, ScopeKind.SESSION, register.session_id)
    step = Step(verb=Verb.TOUCH, user_id="ana", device_id="phone", keeps_activity=True, wants_line=True)
    redis = open_redis(register.house.settings.redis_url)
    taken = (await RedisPresence(redis, SystemClock(), TIMING).change({scope: [step]}))[scope]
    await redis.aclose()
    assert not isinstance(taken, MusterError)
    assert taken[0][2] == b"remote:120000:"


async def test_a_channel_that_there_is_not_is_refused(register: Register) -> None:
    hidden = Configuration(hidden_from_students=True)
    await register.call("ConfigureChannel", name="console", configuration=hidden)
    for channel in ("unheard-of", "Projector", "console"):
        refused = await error_of(beat(register, "ana", channel))
        assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, "scopes[0].channel")
    assert await beat(register, "tess", "console", role=RoomRole.HOST)
    entry = ScopeEntry(scope=Scope(kind=SCOPE_KIND_ORGANIZATION), channel="main")
    request = presence_pb.HeartbeatRequest(device_id="phone", scopes=[entry])
    call = register.house.presence.Heartbeat(request, metadata=register.school.user("ana"))
    refused = await error_of(call)
    assert (refused.reason, refused.violations[0].field) == (Reason.INVALID_FIELD, "scopes[0].channel")


async def test_the_last_activity_outlives_the_index(register: Register) -> None:
    await beat(register, "ana", "projector")

    async def kept() -> dict[str, int]:
        rows = await register.house.rows(
            "SELECT name, revision FROM presence.channel WHERE organization_id = :organization_id"
            " AND last_activity_time IS NOT NULL",
            organization_id=register.school.organization,
        )
        return dict(rows)

    assert await until(kept) == {"projector": 1}


@pytest.fixture
async def place(stores: TestStores) -> AsyncIterator[Place]:
    redis = open_redis(stores.redis_url)
    yield Place(redis)
    await redis.aclose()


async def states(place: Place) -> dict[str, int]:
    """Return how everybody who is here is."""
    return {one.user_id: one.state for one in await place.here()}


async def test_staleness_and_grace_are_those_of_the_channel(place: Place) -> None:
    quick = Line("remote", stale_after=timedelta(seconds=10), return_grace=timedelta(seconds=2))
    slow = Line("projector", stale_after=timedelta(seconds=60), return_grace=timedelta(seconds=0))
    await place.do(Verb.BEAT, "ana", line=quick)
    await place.do(Verb.BEAT, "bo", line=slow)
    await place.do(Verb.BEAT, "cy", line=USUAL)
    await place.wait(9)
    assert set((await states(place)).values()) == {PRESENCE_STATE_ACTIVE}
    await place.wait(1)
    assert (await states(place))["ana"] == PRESENCE_STATE_STALE
    await place.wait(2)
    assert set(await states(place)) == {"bo", "cy"}
    await place.wait(23)
    assert set(await states(place)) == {"bo"}
    await place.wait(24)
    assert await states(place) == {"bo": PRESENCE_STATE_ACTIVE}
    await place.wait(1)
    assert await states(place) == {}


async def test_a_stream_that_broke_has_the_grace_of_its_channel(place: Place) -> None:
    patient = Line("remote", return_grace=timedelta(seconds=60))
    for user_id, line in (("ana", patient), ("bo", USUAL)):
        await place.do(Verb.HOLD, user_id, holder="w1", line=line)
        await place.do(Verb.CLOSE, user_id, holder="w1")
    await place.wait(5)
    assert set(await states(place)) == {"ana"}
    await place.wait(55)
    assert await states(place) == {}


class Watch:
    """Seconds that a test counts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_lines_are_read_anew_after_a_while(register: Register) -> None:
    database = Database.open(register.house.urls.app_url, pool_size=1)
    watch = Watch()
    lines = Lines(PostgresLines(database), now=watch, kept_seconds=5, most_kept=1)
    scope = ScopeId(register.school.organization, ScopeKind.SESSION, register.session_id)
    try:

        async def grace(of: ScopeId = scope) -> timedelta | None:
            return (await lines.find(of, "", sees_hidden=False, field="channel")).return_grace

        assert await grace() is None
        main = Configuration(return_grace=Duration(seconds=7))
        await register.call("ConfigureChannel", name=MAIN, configuration=main)
        watch.seconds = 4.9
        assert await grace() is None
        watch.seconds = 5
        assert await grace() == timedelta(seconds=7)
        # Of so many sessions and no more; and nothing of those of another organization.
        assert await grace(ScopeId("elsewhere", ScopeKind.SESSION, register.session_id)) is None
        await register.call("ConfigureChannel", name=MAIN, configuration=Configuration())
        assert await grace() is None
    finally:
        await lines.close()
        await database.close()


async def test_while_postgresql_is_away_channels_are_as_they_were_or_as_usual() -> None:
    database = Database.open("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", pool_size=1)
    watch = Watch()
    lines = Lines(PostgresLines(database), now=watch)
    scope = ScopeId("school", ScopeKind.SESSION, "lesson")
    try:
        for channel in ("", "projector"):
            assert await lines.find(scope, channel, sees_hidden=False, field="channel") is USUAL
        assert await lines.known(scope) is None
        with pytest.raises(MusterError):
            await lines.find(
                ScopeId("school", ScopeKind.ORGANIZATION), "x", sees_hidden=True, field="channel"
            )
    finally:
        await lines.close()
        await database.close()


async def test_while_the_index_is_away_nobody_knows_how_many_are_connected(house: House) -> None:
    redis = open_redis("redis://127.0.0.1:1")
    database = Database.open(house.urls.app_url, pool_size=1)
    devices = ScopeDevices(RedisPresence(redis, TurnedClock(), TIMING), PostgresIntervals(database))
    try:
        found = await devices.connections(ScopeId("school", ScopeKind.SESSION, "lesson"))
        assert found == {MAIN: OnChannel(None, None)}
        assert total(found) is None
    finally:
        await redis.aclose()
        await database.close()


async def _channels(register: Register) -> list[Any]:
    return list((await register.call("ListChannels")).channels)


async def _view(call: Any) -> Any:
    async for frame in call:
        if frame.WhichOneof("frame") == "view" and frame.view.HasField("lease"):
            return frame.view
    raise AssertionError("the stream ended")


async def _is_empty(register: Register, channel: str) -> bool:
    return not (await counts(register))[channel]
