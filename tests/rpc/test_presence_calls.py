"""Presence by unary calls: beats, activities and goodbyes; lists, counts, and who sees what."""

import asyncio
import time
from collections.abc import Awaitable, Sequence

import grpc
import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import (
    ACTIVITY_AUDIENCE_FRIENDS,
    PRESENCE_STATE_ACTIVE,
    PRESENCE_STATE_AWAY,
    PRESENCE_STATE_OFFLINE,
    Activity,
)
from muster.presence.v1.scope_pb2 import (
    PRESENCE_ROLE_SPECTATOR,
    PRESENCE_ROLE_STAFF,
    SCOPE_KIND_ORGANIZATION,
    SCOPE_KIND_SESSION,
    Scope,
    ScopeEntry,
)
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.status import received

from tests.quickness import assert_quick
from tests.rpc.house import House, error_of, reason_of
from tests.rpc.presence_guests import ORGANIZATION, Gathering


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


async def test_a_beat_gives_a_lease(gathering: Gathering) -> None:
    reply = await gathering.beat(gathering.guest("ana"))
    lease = reply.lease
    assert (lease.next_beat_delay.seconds, lease.stale_after.seconds) == (15, 30)
    assert list(lease.scopes) == [gathering.scope]
    left = lease.expire_time.ToDatetime() - reply.server_time.ToDatetime()
    assert left.total_seconds() == 35


async def test_one_person_on_many_devices_is_one_entry(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    for device_id in ("phone", "laptop", "tv"):
        await gathering.beat(ana, device_id=device_id)
    counts = await gathering.count(ana)
    assert (counts.total_count, counts.device_count) == (1, 3)
    assert await gathering.here(ana) == ["ana"]
    for device_id in ("phone", "laptop"):
        await gathering.leave(ana, device_id=device_id)
    assert await gathering.here(ana) == ["ana"]
    await gathering.leave(ana, device_id="tv")
    assert await gathering.here(ana) == []


async def test_a_goodbye_is_seen_at_once(gathering: Gathering) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")

    async def goodbye() -> float:
        await gathering.beat(ana)
        start = time.monotonic()
        await gathering.leave(ana, gathering.scope)
        assert await gathering.here(bo) == []
        return time.monotonic() - start

    await assert_quick(0.25, goodbye)


async def test_activities_are_listed_and_counted(gathering: Gathering) -> None:
    people = {name: gathering.guest(name) for name in ("ana", "bo", "cy")}
    for who in people.values():
        await gathering.beat(who)
    shown = await gathering.do(people["ana"], "competition", target_id="c1", title="Cup")
    assert (shown.activity.kind, shown.activity.title) == ("competition", "Cup")
    assert shown.activity.HasField("start_time")
    await gathering.do(people["bo"], "competition", target_id="c2")
    assert await gathering.here(people["cy"], activity_kind="competition") == ["ana", "bo"]
    assert await gathering.here(people["cy"], activity_target_id="c1") == ["ana"]
    counts = await gathering.count(people["cy"])
    assert counts.total_count == 3
    assert [(each.kind, each.target_id, each.count) for each in counts.activities] == [
        ("competition", "c1", 1),
        ("competition", "c2", 1),
    ]
    assert (await gathering.count(people["cy"], activity_kind="competition")).total_count == 2
    assert (await gathering.count(people["cy"], activity_kind="block")).total_count == 0


async def test_an_activity_for_friends_alone_is_not_shown_to_the_scope(gathering: Gathering) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    await gathering.beat(ana)
    own = await gathering.do(ana, "exercise", audience=ACTIVITY_AUDIENCE_FRIENDS)
    assert own.activity.kind == "exercise"
    reply = await gathering.house.presence.ListActive(
        pb.ListActiveRequest(scope=gathering.scope), metadata=bo
    )
    assert not reply.people[0].HasField("activity")
    assert not (await gathering.count(bo)).activities


async def test_a_beat_without_an_activity_keeps_it_and_setting_none_ends_it(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    await gathering.beat(ana, activity=Activity(kind="block"))
    await gathering.beat(ana)
    await gathering.beat(ana, scopes=[ScopeEntry(scope=gathering.scope)])
    assert await gathering.here(ana, activity_kind="block") == ["ana"]
    request = pb.SetActivityRequest(device_id="phone", scope=gathering.scope)
    reply = await gathering.house.presence.SetActivity(request, metadata=ana)
    assert not reply.presence.HasField("activity")


async def test_an_activity_takes_a_device_that_is_there(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    assert await reason_of(gathering.do(ana, "block")) is Reason.NOT_FOUND
    await gathering.beat(ana)
    assert await reason_of(gathering.do(ana, "block", device_id="other")) is Reason.NOT_FOUND


async def test_staff_are_left_out_unless_staff_ask_for_them(gathering: Gathering) -> None:
    host, ana = gathering.guest("host", RoomRole.HOST), gathering.guest("ana")
    fan = gathering.guest("fan", RoomRole.SPECTATOR)
    for who in (host, ana, fan):
        await gathering.beat(who)
    assert await gathering.here(ana) == ["ana", "fan"]
    assert await gathering.here(host, include_staff=True) == ["host", "ana", "fan"]
    assert (await gathering.count(ana)).total_count == 2
    counts = await gathering.count(host, include_staff=True)
    assert {each.role: each.count for each in counts.roles} == {
        1: 1,
        PRESENCE_ROLE_SPECTATOR: 1,
        PRESENCE_ROLE_STAFF: 1,
    }
    assert await reason_of(gathering.here(ana, include_staff=True)) is Reason.PERMISSION_DENIED
    request = pb.GetPresenceRequest(user_ids=["host", "ana", "nobody"], scope=gathering.scope)
    reply = await gathering.house.presence.GetPresence(request, metadata=ana)
    assert [one.state for one in reply.presences] == [
        PRESENCE_STATE_OFFLINE,
        PRESENCE_STATE_ACTIVE,
        PRESENCE_STATE_OFFLINE,
    ]


async def test_a_user_is_in_the_organization_and_in_the_sessions_they_have_tickets_to(
    gathering: Gathering,
) -> None:
    ana = gathering.user("ana")
    reply = await gathering.beat(ana)
    assert list(reply.lease.scopes) == [ORGANIZATION]
    await gathering.beat(ana, scopes=[gathering.entry("ana")], away=True)
    again = await gathering.beat(ana)
    assert {scope.kind for scope in again.lease.scopes} == {SCOPE_KIND_ORGANIZATION, SCOPE_KIND_SESSION}
    owner = gathering.user("owner", OrganizationRole.OWNER)
    assert await gathering.here(owner) == ["ana"]
    await gathering.leave(ana)
    assert await gathering.here(owner) == []
    request = pb.CountActiveRequest(scope=ORGANIZATION)
    counted = await gathering.house.presence.CountActive(request, metadata=owner)
    assert counted.counts.total_count == 0


async def test_away_is_a_state(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    await gathering.beat(ana, away=True)
    counts = await gathering.count(ana)
    assert [(each.state, each.count) for each in counts.states] == [(PRESENCE_STATE_AWAY, 1)]


async def test_who_has_no_ticket_is_not_let_in(gathering: Gathering) -> None:
    ana = gathering.user("ana")
    assert (
        await reason_of(gathering.beat(ana, scopes=[ScopeEntry(scope=gathering.scope)])) is Reason.NOT_FOUND
    )
    for ticket in ("nonsense", gathering.token("bo"), Gathering(gathering.house).token("ana")):
        entry = ScopeEntry(scope=gathering.scope, ticket=ticket)
        refused = await error_of(gathering.beat(ana, scopes=[entry]))
        assert refused.reason is Reason.INVALID_FIELD
        assert refused.violations[0].field == "scopes[0].scope.ticket"
    elsewhere = ScopeEntry(scope=gathering.scope, ticket=gathering.token("ana", session_id="elsewhere"))
    assert await reason_of(gathering.beat(ana, scopes=[elsewhere])) is Reason.NOT_FOUND


async def test_a_ticket_is_for_its_room_alone(gathering: Gathering) -> None:
    await gathering.beat(gathering.user("bo"))
    ana = gathering.guest("ana")
    entry = ScopeEntry(scope=ORGANIZATION)
    assert await reason_of(gathering.beat(ana, scopes=[entry])) is Reason.NOT_FOUND
    for scope in (ORGANIZATION, Scope(kind=SCOPE_KIND_SESSION, scope_id="other")):
        request = pb.ListActiveRequest(scope=scope)
        call = gathering.house.presence.ListActive(request, metadata=ana)
        assert await reason_of(call) is Reason.NOT_FOUND


async def test_members_do_not_look_into_sessions_without_a_ticket(gathering: Gathering) -> None:
    await gathering.beat(gathering.guest("ana"))
    assert await reason_of(gathering.here(gathering.user("bo"))) is Reason.NOT_FOUND
    other = Gathering(gathering.house, session_id=gathering.session_id)
    owner = other.user("owner", OrganizationRole.OWNER)
    assert await reason_of(other.here(owner)) is Reason.NOT_FOUND


@pytest.mark.parametrize(
    "scope", [Scope(kind=SCOPE_KIND_ORGANIZATION, scope_id="x"), Scope(kind=SCOPE_KIND_SESSION)]
)
async def test_an_id_has_to_fit_its_kind(gathering: Gathering, scope: Scope) -> None:
    request = pb.CountActiveRequest(scope=scope)
    call = gathering.house.presence.CountActive(request, metadata=gathering.user("ana"))
    refused = await error_of(call)
    assert refused.reason is Reason.INVALID_FIELD
    assert refused.violations[0].field == "scope.scope_id"


async def test_pages_go_on_where_they_ended(gathering: Gathering) -> None:
    for number in range(5):
        await gathering.beat(gathering.guest(f"u{number}"))
    who, seen, token = gathering.guest("u0"), list[str](), ""
    while True:
        request = pb.ListActiveRequest(scope=gathering.scope, page_size=2, page_token=token)
        reply = await gathering.house.presence.ListActive(request, metadata=who)
        assert len(reply.people) <= 2
        seen += [one.user_id for one in reply.people]
        token = reply.next_page_token
        if not token:
            break
    assert seen == [f"u{number}" for number in range(5)]
    request = pb.ListActiveRequest(scope=gathering.scope, page_token="nonsense")
    call = gathering.house.presence.ListActive(request, metadata=who)
    assert await reason_of(call) is Reason.PAGE_TOKEN_INVALID


def _beats(gathering: Gathering, users: Sequence[str], **said: object) -> pb.HeartbeatBatchRequest:
    beats = [pb.UserBeat(user_id=user, scope=gathering.scope, **said) for user in users]  # type: ignore[arg-type]
    return pb.HeartbeatBatchRequest(organization_id=gathering.organization, beats=beats)


async def test_a_service_beats_for_a_thousand(gathering: Gathering) -> None:
    users = [f"u{number}" for number in range(1000)]
    batch = gathering.house.presence.HeartbeatBatch
    reply = await batch(_beats(gathering, users), metadata=gathering.service)
    assert (reply.accepted_count, reply.next_beat_delay.seconds) == (1000, 15)
    assert (await gathering.count(gathering.service)).total_count == 1000
    await batch(_beats(gathering, users[:400], leave=True), metadata=gathering.service)
    assert (await gathering.count(gathering.service)).total_count == 600


async def test_beats_that_cannot_be_are_refused_one_by_one(gathering: Gathering) -> None:
    request = _beats(gathering, ["ana", "bo"])
    request.beats[0].scope.scope_id = ""
    reply = await gathering.house.presence.HeartbeatBatch(request, metadata=gathering.service)
    assert reply.accepted_count == 1
    assert [(each.index, each.reason) for each in reply.refused] == [(0, "INVALID_FIELD")]


async def test_a_service_of_another_organization_is_refused(gathering: Gathering) -> None:
    other = Gathering(gathering.house).service
    call = gathering.house.presence.HeartbeatBatch(_beats(gathering, ["ana"]), metadata=other)
    assert await reason_of(call) is Reason.PERMISSION_DENIED


async def test_a_late_call_does_not_undo_a_newer_one(gathering: Gathering) -> None:
    ana, presence = gathering.guest("ana"), gathering.house.presence
    await gathering.beat(ana, device_sequence=2)
    await presence.Leave(pb.LeaveRequest(device_id="phone", device_sequence=1), metadata=ana)
    assert await gathering.here(ana) == ["ana"]
    await presence.Leave(pb.LeaveRequest(device_id="phone", device_sequence=3), metadata=ana)
    await gathering.beat(ana, device_sequence=2)
    assert await gathering.here(ana) == []


async def test_too_many_beats_are_shed(gathering: Gathering) -> None:
    users = [f"u{number}" for number in range(1000)]
    batch, service = gathering.house.presence.HeartbeatBatch, gathering.service
    calls = [batch(_beats(gathering, users), metadata=service) for _ in range(40)]
    replies = await asyncio.gather(*(_tried(call) for call in calls))
    assert replies.count(None) > 0
    shed = [error for error in replies if error is not None]
    assert shed
    assert all(error.reason is Reason.RATE_LIMITED and error.retry_after for error in shed)


async def _tried(call: Awaitable[object]) -> MusterError | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return received(error)
    return None
