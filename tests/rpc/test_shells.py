"""Workout, of which the contract stands and Probe is built, and what of presence is not built yet."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster.presence.v1 import (
    friend_service_pb2,
    presence_service_pb2,
    presence_service_pb2_grpc,
)
from muster.workout.v1 import workout_service_pb2, workout_service_pb2_grpc
from muster_kit.app import ServiceApp
from muster_kit.caller import OrganizationRole
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.policy import check_total
from muster_kit.rpc.server import Server
from muster_kit.rpc.status import received
from muster_kit.rpc.tokens import issue_service_token, issue_user_token
from muster_kit.settings import Settings
from muster_presence.app import build as build_presence
from muster_workout.app import build as build_workout

from tests.conftest import TestStores

SECRET = "for the tests of this file alone, 32+"
APPS = {"presence": build_presence, "workout": build_workout}

Metadata = tuple[tuple[str, str], ...]


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
def member() -> Metadata:
    role = OrganizationRole.MEMBER
    token = issue_user_token(SECRET, subject="ana", organization_id="acme", organization_role=role)
    return bearer(token)


@pytest.fixture
async def channel(stores: TestStores) -> AsyncIterator[grpc.aio.Channel]:
    settings = Settings(redis_url=stores.redis_url)
    apps: list[ServiceApp] = [build(settings) for build in APPS.values()]
    server = Server(
        [service for app in apps for service in app.services],
        authenticator=Authenticator(user_secret=SECRET, service_secret=SECRET),
        policy={name: rule for app in apps for name, rule in app.policy.items()},
        listen="127.0.0.1:0",
    )
    for app in apps:
        await app.start()
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    for app in apps:
        await app.drain()
    await server.drain(1.0)
    for app in apps:
        await app.close()


async def refusal(call: Any) -> MusterError:
    """Return why a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = received(caught.value)
    assert error is not None
    return error


@pytest.mark.parametrize("name", APPS)
def test_every_method_has_a_rule_and_every_rule_a_method(name: str) -> None:
    app = APPS[name](Settings())
    check_total(app.policy, [service.descriptor for service in app.services])


@pytest.mark.parametrize("name", APPS)
async def test_probe_echoes_and_tells_time(name: str, channel: grpc.aio.Channel, member: Metadata) -> None:
    stub, request_class = {
        "presence": (presence_service_pb2_grpc.PresenceServiceStub, presence_service_pb2.ProbeRequest),
        "workout": (workout_service_pb2_grpc.WorkoutServiceStub, workout_service_pb2.ProbeRequest),
    }[name]
    origin = Timestamp(seconds=1, nanos=2)
    before = datetime.now(UTC)
    answer = await stub(channel).Probe(request_class(origin_time=origin, payload=b"xyz"), metadata=member)
    after = datetime.now(UTC)
    assert answer.times.origin_time == origin
    assert answer.payload == b"xyz"
    received_at = answer.times.receive_time.ToDatetime(UTC)
    # The microsecond that rounding takes.
    assert before - timedelta(microseconds=2) <= received_at <= answer.times.transmit_time.ToDatetime(UTC)
    assert answer.times.transmit_time.ToDatetime(UTC) <= after
    assert answer.server_duration.ToTimedelta() >= timedelta(0)


async def test_what_is_not_built_says_so(channel: grpc.aio.Channel, member: Metadata) -> None:
    stub = presence_service_pb2_grpc.PresenceServiceStub(channel)
    history = presence_service_pb2.ListHistoryRequest()
    assert (await refusal(stub.ListHistory(history, metadata=member))).reason is Reason.UNIMPLEMENTED


async def test_a_stream_that_is_not_built_says_so(channel: grpc.aio.Channel, member: Metadata) -> None:
    call = channel.unary_stream("/muster.presence.v1.FriendService/WatchFriends")(
        friend_service_pb2.WatchFriendsRequest().SerializeToString(), metadata=member
    )
    assert (await refusal(call.read())).reason is Reason.UNIMPLEMENTED


async def test_policy_and_rules_stand_before_what_is_not_built(
    channel: grpc.aio.Channel, member: Metadata
) -> None:
    stub = presence_service_pb2_grpc.PresenceServiceStub(channel)
    request = presence_service_pb2.NotifyRequest()
    assert (await refusal(stub.Notify(request))).reason is Reason.TOKEN_INVALID
    assert (await refusal(stub.Notify(request, metadata=member))).reason is Reason.PERMISSION_DENIED
    service = bearer(issue_service_token(SECRET, service="arena"))
    faulty = await refusal(stub.Notify(request, metadata=service))
    assert faulty.reason is Reason.INVALID_FIELD
    assert {violation.field for violation in faulty.violations} >= {"organization_id", "user_ids"}
