"""History by calls: who sees which stays, in pages; and people who are erased from it."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import LEAVE_CAUSE_LEFT, PresenceInterval
from muster.presence.v1.scope_pb2 import PRESENCE_ROLE_PARTICIPANT, SCOPE_KIND_SESSION, Scope
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.scope_keys import keys_of

from tests.conftest import TestStores
from tests.rpc.house import House, Metadata, reason_of
from tests.rpc.presence_guests import ORGANIZATION, Gathering
from tests.waiting import until

ADMIN = OrganizationRole.ADMIN
DURABLE_SECONDS = 5


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


async def history(gathering: Gathering, who: Metadata, **wanted: Any) -> list[PresenceInterval]:
    """List a history to its end."""
    intervals: list[PresenceInterval] = []
    request = pb.ListHistoryRequest(**wanted)
    while True:
        reply = await gathering.house.presence.ListHistory(request, metadata=who)
        intervals += reply.intervals
        request.page_token = reply.next_page_token
        if not reply.next_page_token:
            return intervals


async def until_written(gathering: Gathering, count: int) -> None:
    """Wait until so many intervals of the organization are durable."""
    admin = gathering.user("admin", ADMIN)

    async def are_there() -> bool:
        return len(await history(gathering, admin)) == count

    await until(are_there, seconds=DURABLE_SECONDS)


async def visit(gathering: Gathering, *user_ids: str) -> None:
    """Let people come to the session and go."""
    for user_id in user_ids:
        await gathering.beat(gathering.guest(user_id))
        await gathering.leave(gathering.guest(user_id))


async def test_a_visit_is_in_the_history_within_seconds(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    began = datetime.now(UTC) - timedelta(seconds=1)
    await gathering.beat(ana)
    await until_written(gathering, 1)
    (stay,) = await history(gathering, gathering.user("ana"))
    assert not stay.HasField("leave_time")
    await gathering.leave(ana)

    async def has_ended() -> bool:
        (stay,) = await history(gathering, gathering.user("ana"))
        return stay.HasField("leave_time")

    await until(has_ended, seconds=DURABLE_SECONDS)
    (stay,) = await history(gathering, gathering.user("ana"))
    assert (stay.user_id, stay.display_name, stay.role) == ("ana", "Ana", PRESENCE_ROLE_PARTICIPANT)
    assert (stay.scope, stay.cause) == (gathering.scope, LEAVE_CAUSE_LEFT)
    assert began <= stay.enter_time.ToDatetime(UTC) <= stay.leave_time.ToDatetime(UTC)
    assert stay.enter_time.ToDatetime() <= stay.last_activity_time.ToDatetime()


async def test_everyone_sees_their_own_and_staff_what_is_theirs(gathering: Gathering) -> None:
    await visit(gathering, "ana", "bo")
    await gathering.beat(gathering.user("bo"))
    await until_written(gathering, 3)
    room, home = gathering.scope, ORGANIZATION

    async def seen(who: Metadata, **wanted: Any) -> list[tuple[str, Scope]]:
        return [(stay.user_id, stay.scope) for stay in await history(gathering, who, **wanted)]

    ana, editor = gathering.user("ana"), gathering.user("ed", OrganizationRole.EDITOR)
    assert await seen(ana) == await seen(ana, user_id="ana") == [("ana", room)]
    assert await seen(ana, scope=home) == []
    host = gathering.guest("host", RoomRole.HOST)
    assert await seen(host) == await seen(host, scope=room) == [("bo", room), ("ana", room)]
    assert await seen(host, user_id="ana") == [("ana", room)]
    assert await seen(editor) == await seen(editor, scope=home) == [("bo", home)]
    assert await seen(editor, scope=room) == []
    admin = gathering.user("admin", ADMIN)
    assert await seen(admin) == [("bo", home), ("bo", room), ("ana", room)]
    assert await seen(admin, scope=room, user_id="bo") == [("bo", room)]
    assert await seen(Gathering(gathering.house).user("admin", ADMIN)) == []


async def test_what_is_not_to_be_seen_is_refused(gathering: Gathering) -> None:
    async def refusal(who: Metadata, **wanted: Any) -> Reason:
        return await reason_of(history(gathering, who, **wanted))

    other = Scope(kind=SCOPE_KIND_SESSION, scope_id="another")
    assert await refusal(gathering.user("ana"), user_id="bo") is Reason.PERMISSION_DENIED
    editor = gathering.user("ed", OrganizationRole.EDITOR)
    assert await refusal(editor, user_id="bo", scope=gathering.scope) is Reason.PERMISSION_DENIED
    assert await refusal(gathering.guest("host", RoomRole.HOST), scope=other) is Reason.NOT_FOUND
    assert await refusal(gathering.guest("host", RoomRole.HOST), scope=ORGANIZATION) is Reason.NOT_FOUND
    assert await refusal(gathering.user("ana"), scope=Scope(kind=SCOPE_KIND_SESSION)) is Reason.INVALID_FIELD


async def test_pages_have_each_stay_once_last_come_first(gathering: Gathering) -> None:
    people = [f"user-{number}" for number in range(7)]
    await visit(gathering, *people)
    await until_written(gathering, 7)
    admin = gathering.user("admin", ADMIN)
    for page_size in (1, 3, 7):
        found = await history(gathering, admin, page_size=page_size)
        assert [stay.user_id for stay in found] == people[::-1]
    request = pb.ListHistoryRequest(page_size=3)
    token = (await gathering.house.presence.ListHistory(request, metadata=admin)).next_page_token
    for strange in (token[:-4], token + "AAAA", "?", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"):
        refused = await reason_of(history(gathering, admin, page_token=strange))
        assert refused is Reason.PAGE_TOKEN_INVALID
    # Of another list.
    refused = await reason_of(history(gathering, admin, page_token=token, user_id="ana"))
    assert refused is Reason.PAGE_TOKEN_INVALID


async def test_only_what_has_a_part_in_the_time_asked_for(gathering: Gathering) -> None:
    await visit(gathering, "ana")
    await gathering.beat(gathering.guest("bo"))
    await until_written(gathering, 2)
    admin = gathering.user("admin", ADMIN)
    bo, ana = await history(gathering, admin)

    async def between(**times: Any) -> list[str]:
        return [stay.user_id for stay in await history(gathering, admin, **times)]

    assert await between(start_time=ana.leave_time) == ["bo"]
    assert await between(end_time=bo.enter_time) == ["ana"]
    assert await between(end_time=ana.enter_time) == []
    assert await between(start_time=ana.enter_time, end_time=bo.leave_time) == []
    assert await between(start_time=bo.enter_time + timedelta(days=1)) == ["bo"]


async def test_who_is_erased_is_gone_and_does_not_come_back_by_what_was_on_its_way(
    gathering: Gathering,
) -> None:
    admin = gathering.user("admin", ADMIN)
    await visit(gathering, "ana")
    await gathering.beat(gathering.guest("ana"))
    await gathering.beat(gathering.guest("bo"))
    await until_written(gathering, 3)
    # A stream that is still open, and facts that are not written yet.
    call = gathering.house.presence.Connect(
        pb.ConnectRequest(device_id="laptop"), metadata=gathering.guest("ana")
    )
    await call.read()
    await visit(gathering, "ana")
    request = pb.EraseUserRequest(request_id=uuid.uuid4().hex, user_id="ana")
    erased = await gathering.house.presence.EraseUser(request, metadata=admin)
    assert erased.record_count >= 2
    again = await gathering.house.presence.EraseUser(request, metadata=admin)
    assert again == erased
    app: Any = gathering.house.apps["presence"]
    await app._connections._renew()
    assert await gathering.here(gathering.guest("bo")) == ["bo"]
    await visit(gathering, "cy")
    await until_written(gathering, 2)
    assert {stay.user_id for stay in await history(gathering, admin)} == {"bo", "cy"}
    call.cancel()
    # Whoever comes afterwards is new.
    await asyncio.sleep(0)
    await gathering.beat(gathering.guest("ana"), device_id="tv")
    await until_written(gathering, 3)
    request = pb.EraseUserRequest(user_id="nobody")
    assert (await gathering.house.presence.EraseUser(request, metadata=admin)).record_count == 0


async def test_nothing_of_who_is_erased_can_be_read_again(gathering: Gathering, stores: TestStores) -> None:
    bo = gathering.guest("bo")
    await gathering.beat(bo)
    # One who has gone; another session knows of them as well.
    await visit(gathering, "ana")
    await until_written(gathering, 2)
    request = pb.WatchScopeRequest(scope=gathering.scope, max_frames=1)
    (frame,) = [frame async for frame in gathering.house.presence.WatchScope(request, metadata=bo)]
    await gathering.beat(gathering.guest("cy"))
    async with open_redis(stores.redis_url) as redis:
        keys = keys_of(ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id))
        assert "Ana" in str(await redis.lrange(keys[3], 0, -1))
        erasure = pb.EraseUserRequest(user_id="ana")
        await gathering.house.presence.EraseUser(erasure, metadata=gathering.user("admin", ADMIN))
        assert await redis.lrange(keys[3], 0, -1) == []
        assert "Ana" not in str(await redis.hgetall(keys[0]))
    request = pb.WatchScopeRequest(scope=gathering.scope, after=frame.cursor, replay_only=True)

    async def starts_over() -> list[str]:
        frames = [frame async for frame in gathering.house.presence.WatchScope(request, metadata=bo)]
        return [] if frames[0].HasField("events") else [frame.WhichOneof("frame") for frame in frames]

    # As soon as the process that watches has looked.
    assert (await until(starts_over, seconds=10))[:2] == ["reset", "snapshot"]
    assert await gathering.here(bo) == ["bo", "cy"]


async def test_only_owners_and_admins_erase(gathering: Gathering) -> None:
    request = pb.EraseUserRequest(user_id="ana")
    for who in (gathering.user("ana"), gathering.user("ed", OrganizationRole.EDITOR), gathering.service):
        call = gathering.house.presence.EraseUser(request, metadata=who)
        assert await reason_of(call) is Reason.PERMISSION_DENIED
