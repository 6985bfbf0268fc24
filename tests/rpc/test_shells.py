"""Workout, of which the contract stands and Probe is built."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster.workout.v1 import workout_service_pb2, workout_service_pb2_grpc
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.keys import KeySource
from muster_kit.rpc.policy import check_total
from muster_kit.rpc.server import Server
from muster_kit.rpc.status import received
from muster_kit.rpc.tokens import TicketSigner, issue_service_token, issue_user_token, write_ticket_key
from muster_kit.settings import Settings
from muster_workout.app import build

SECRET = "for the tests of this file alone, 32+"

Metadata = tuple[tuple[str, str], ...]
Stub = workout_service_pb2_grpc.WorkoutServiceStub


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
def member() -> Metadata:
    role = OrganizationRole.MEMBER
    token = issue_user_token(SECRET, subject="ana", organization_id="acme", organization_role=role)
    return bearer(token)


@pytest.fixture
def ticket_key(tmp_path: Path) -> Path:
    path = tmp_path / "ticket.pem"
    write_ticket_key(path)
    return path


@pytest.fixture
def seat(ticket_key: Path) -> Metadata:
    """The metadata of somebody who has a seat in a workout."""
    ticket, _ = TicketSigner.read(ticket_key).issue(
        subject="ana",
        organization_id="acme",
        organization_role=OrganizationRole.MEMBER,
        room_id="room",
        room_role=RoomRole.PARTICIPANT,
        participant_id="seat",
        generation=1,
    )
    return bearer(ticket)


@pytest.fixture
async def channel(ticket_key: Path) -> AsyncIterator[grpc.aio.Channel]:
    app = build(Settings())
    authenticator = Authenticator(
        user_secret=SECRET, service_secret=SECRET, ticket_keys=KeySource(str(ticket_key))
    )
    await authenticator.start()
    server = Server(
        app.services,
        authenticator=authenticator,
        policy=app.policy,
        listen="127.0.0.1:0",
    )
    await app.start()
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await app.drain()
    await server.drain(1.0)
    await app.close()


async def refusal(call: Any) -> MusterError:
    """Return why a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = received(caught.value)
    assert error is not None
    return error


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    app = build(Settings())
    check_total(app.policy, [service.descriptor for service in app.services])


async def test_probe_echoes_and_tells_time(channel: grpc.aio.Channel, member: Metadata) -> None:
    origin = Timestamp(seconds=1, nanos=2)
    request = workout_service_pb2.ProbeRequest(origin_time=origin, payload=b"xyz")
    before = datetime.now(UTC)
    answer = await Stub(channel).Probe(request, metadata=member)
    after = datetime.now(UTC)
    assert answer.times.origin_time == origin
    assert answer.payload == b"xyz"
    received_at = answer.times.receive_time.ToDatetime(UTC)
    # The microsecond that rounding takes.
    assert before - timedelta(microseconds=2) <= received_at <= answer.times.transmit_time.ToDatetime(UTC)
    assert answer.times.transmit_time.ToDatetime(UTC) <= after
    assert answer.server_duration.ToTimedelta() >= timedelta(0)


async def test_what_is_not_built_says_so(channel: grpc.aio.Channel, member: Metadata) -> None:
    request = workout_service_pb2.ListWorkoutsRequest()
    assert (
        await refusal(Stub(channel).ListWorkouts(request, metadata=member))
    ).reason is Reason.UNIMPLEMENTED


async def test_a_stream_that_is_not_built_says_so(channel: grpc.aio.Channel, seat: Metadata) -> None:
    request = workout_service_pb2.WatchWorkoutRequest(workout_id="room")
    call = Stub(channel).WatchWorkout(request, metadata=seat)
    assert (await refusal(call.read())).reason is Reason.UNIMPLEMENTED


async def test_policy_and_rules_stand_before_what_is_not_built(
    channel: grpc.aio.Channel, member: Metadata
) -> None:
    stub = Stub(channel)
    request = workout_service_pb2.GetWorkoutRequest()
    assert (await refusal(stub.GetWorkout(request))).reason is Reason.TOKEN_INVALID
    service = bearer(issue_service_token(SECRET, service="arena"))
    assert (await refusal(stub.GetWorkout(request, metadata=service))).reason is Reason.PERMISSION_DENIED
    faulty = await refusal(stub.GetWorkout(request, metadata=member))
    assert faulty.reason is Reason.INVALID_FIELD
    assert {violation.field for violation in faulty.violations} == {"workout_id"}
