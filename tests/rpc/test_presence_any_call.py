"""Any call of a person, at any service, counts as a beat wherever they are already; nobody comes by it."""

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
import structlog.testing
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_ACTIVE, PRESENCE_STATE_STALE, Presence
from muster.session.v1.session_service_pb2 import ListSessionsRequest
from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.sightings import Sightings
from muster_kit.rpc.tokens import ServiceTokens
from muster_kit.streams.background import Background
from muster_presence.model import Verb

from tests.conftest import TestStores
from tests.rpc.house import House, reason_of
from tests.rpc.presence_guests import ORGANIZATION, Gathering
from tests.rpc.presence_index import Place
from tests.waiting import until


@pytest.fixture
async def place(stores: TestStores) -> AsyncIterator[Place]:
    async with open_redis(stores.redis_url) as redis:
        yield Place(redis)


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


async def presence_of(gathering: Gathering, user_id: str) -> Presence:
    request = pb.GetPresenceRequest(user_ids=[user_id], scope=ORGANIZATION)
    reply = await gathering.house.presence.GetPresence(request, metadata=gathering.service)
    (presence,) = reply.presences
    return presence


def report(gathering: Gathering, *user_ids: str) -> pb.ReportActivityRequest:
    return pb.ReportActivityRequest(organization_id=gathering.organization, user_ids=user_ids)


async def test_who_calls_does_not_become_stale(place: Place) -> None:
    await place.do(Verb.BEAT)
    for _ in range(3):
        await place.wait(25)
        await place.do(Verb.CALL, device_id="")
    (ana,) = await place.here()
    assert ana.state == PRESENCE_STATE_ACTIVE
    assert ana.last_activity_time.ToDatetime() == place.clock.time.replace(tzinfo=None)
    await place.wait(30)
    assert [one.state for one in await place.here()] == [PRESENCE_STATE_STALE]
    await place.wait(5)
    assert await place.here() == []


async def test_a_call_prolongs_the_device_that_was_last_heard_of(place: Place) -> None:
    await place.do(Verb.BEAT, device_id="tablet")
    await place.wait(10)
    await place.do(Verb.BEAT, device_id="phone")
    await place.wait(10)
    await place.do(Verb.CALL, device_id="")
    await place.wait(16)
    (ana,) = await place.here()
    assert ana.device_count == 1
    await place.do(Verb.LEAVE, device_id="phone")
    assert await place.here() == []


async def test_who_is_not_here_does_not_come_by_calling(place: Place) -> None:
    await place.do(Verb.CALL, device_id="")
    assert (await place.here(), place.facts) == ([], [])
    await place.do(Verb.BEAT)
    await place.do(Verb.LEAVE)
    await place.do(Verb.CALL, device_id="")
    assert await place.here() == []


async def test_a_stream_that_has_ended_is_not_prolonged_by_calls_made_before(place: Place) -> None:
    await place.do(Verb.BEAT, device_id="tablet")
    await place.do(Verb.HOLD, holder="w1")
    await place.wait(30)
    await place.do(Verb.HOLD, holder="w1")
    await place.do(Verb.CALL, device_id="")
    await place.do(Verb.CLOSE, holder="w1")
    await place.wait(5)
    assert await place.here() == []
    assert place.facts[-1].leave_ms == place.facts[-1].last_activity_ms


async def test_a_call_of_another_service_is_activity(gathering: Gathering) -> None:
    ana = gathering.user("ana")
    await gathering.beat(ana)
    came = (await presence_of(gathering, "ana")).last_activity_time.ToDatetime()
    await gathering.house.sessions.ListSessions(ListSessionsRequest(), metadata=ana)

    async def has_been_active() -> bool:
        return (await presence_of(gathering, "ana")).last_activity_time.ToDatetime() > came

    await until(has_been_active, seconds=20)


async def test_a_service_reports_who_called(gathering: Gathering) -> None:
    await gathering.beat(gathering.user("ana"))
    came = (await presence_of(gathering, "ana")).last_activity_time.ToDatetime()
    presence = gathering.house.presence
    await presence.ReportActivity(report(gathering, "ana", "bo"), metadata=gathering.service)
    assert (await presence_of(gathering, "ana")).last_activity_time.ToDatetime() > came
    assert not (await presence_of(gathering, "bo")).device_count


async def test_a_service_of_another_organization_reports_nobody(gathering: Gathering) -> None:
    other = Gathering(gathering.house).service
    call = gathering.house.presence.ReportActivity(report(gathering, "ana"), metadata=other)
    assert await reason_of(call) is Reason.PERMISSION_DENIED


async def test_a_presence_that_refuses_is_told_again_and_that_is_said_once(gathering: Gathering) -> None:
    strangers = ServiceTokens("another secret that is long enough too", service="tests")
    ana = Caller(CallerKind.USER, subject="ana", organization_id=gathering.organization)
    background = Background()

    async with open_channel(gathering.house.settings.listen) as channel:
        sightings = Sightings(channel, strangers, every_seconds=0.01)
        with structlog.testing.capture_logs() as log:
            background.spawn(sightings.keep_telling(), name="telling")
            for refusals in (1, 2):
                sightings.note(ana)
                await until(lambda refusals=refusals: _said(log, "call_failed") == refusals)
            await background.close()
    assert _said(log, "activity_not_told") == 1


def _said(log: list[MutableMapping[str, Any]], event: str) -> int:
    return sum(entry["event"] == event for entry in log)
