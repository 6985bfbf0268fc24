"""Inboxes: what services tell people reaches all their devices, once and in order, whenever they come."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster.presence.v1 import inbox_pb2
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.scope_pb2 import Scope
from muster.stream.v1.stream_pb2 import RESET_CAUSE_CURSOR_FOREIGN, RESET_CAUSE_CURSOR_STALE
from muster_kit.db import Database
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.tokens import issue_service_token
from muster_kit.streams.publisher import channel_of
from muster_presence.inbox_sweeper import sweep_inboxes
from muster_presence.model_inbox import first_epoch, inbox_room
from muster_presence.tables import SCHEMA

from tests.conftest import TestStores
from tests.rpc.house import SECRET, House, bearer, reason_of
from tests.rpc.presence_friends import Club
from tests.rpc.presence_guests import ORGANIZATION, Gathering
from tests.rpc.presence_inbox import caught_up, events_of, kinds_of, listening, notify, waiting_for


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


def starting(gathering: Gathering, stage: str, *, minutes: float = 0) -> inbox_pb2.StartNotice:
    """Return where the gathering's session stands, since so many minutes ago."""
    notice = inbox_pb2.StartNotice(scope=gathering.scope, title="Lesson", stage=f"START_STAGE_{stage}")
    notice.stage_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=minutes))
    return notice


def invited(gathering: Gathering, number: int, stage: str = "PENDING") -> inbox_pb2.InvitationNotice:
    """Return an invitation to the gathering's session."""
    return inbox_pb2.InvitationNotice(
        invitation_id=f"invitation-{number}", scope=gathering.scope, stage=f"INVITATION_STAGE_{stage}"
    )


async def test_what_is_told_reaches_every_device_once_and_in_order(gathering: Gathering) -> None:
    ana = gathering.user("ana")
    async with (
        listening(gathering.house, ana) as phone,
        listening(gathering.house, gathering.guest("ana"), device_id="laptop") as laptop,
    ):
        for number in range(5):
            assert await notify(gathering, "ana", kind=f"note-{number}") == 1
        told = [await device.events(5) for device in (phone, laptop)]
    assert told[0] == told[1]
    assert [event.seq for event in told[0]] == [1, 2, 3, 4, 5]
    assert kinds_of(told[0]) == [f"note-{number}" for number in range(5)]


async def test_a_stream_that_was_cut_goes_on_where_it_was(gathering: Gathering) -> None:
    ana = gathering.user("ana")
    async with listening(gathering.house, ana) as before:
        await notify(gathering, "ana", kind="first")
        await before.events(1)
    await notify(gathering, "ana", kind="second")
    async with listening(gathering.house, ana, after=before.cursor, begins=False) as after:
        await notify(gathering, "ana", kind="third")
        events = await after.events(2)
    assert kinds_of(events) == ["second", "third"]
    assert not any(frame.WhichOneof("frame") in ("snapshot", "reset") for frame in after.frames)


async def test_who_was_told_nothing_yet_has_a_cursor_to_go_on_from(gathering: Gathering) -> None:
    ana = gathering.user("ana")
    before = await caught_up(gathering, ana)
    assert before.cursor
    await notify(gathering, "ana", kind="first")
    after = await caught_up(gathering, ana, after=before.cursor)
    assert kinds_of(events_of(after)) == ["first"]


async def test_nobody_hears_what_others_are_told(gathering: Gathering) -> None:
    stranger = Gathering(gathering.house)
    await notify(gathering, "ana", kind="mine")
    await notify(stranger, "ana", kind="theirs")
    first = (
        bytes.fromhex("01") + first_epoch(inbox_room(gathering.organization, "ana")).to_bytes(8) + bytes(8)
    )
    mine = await caught_up(gathering, gathering.user("ana"), after=first)
    assert kinds_of(events_of(mine)) == ["mine"]
    bo = await caught_up(gathering, gathering.user("bo"), after=first)
    assert [frame.reset.cause for frame in bo.frames][:1] == [RESET_CAUSE_CURSOR_FOREIGN]
    assert not events_of(bo)


async def test_a_request_that_is_repeated_tells_once(gathering: Gathering) -> None:
    before = await caught_up(gathering, gathering.user("ana"))
    counts = await asyncio.gather(
        *(notify(gathering, "ana", "bo", request_id="once", kind="note") for _ in range(5))
    )
    assert counts == [2] * 5
    after = await caught_up(gathering, gathering.user("ana"), after=before.cursor)
    assert len(events_of(after)) == 1
    assert (
        await reason_of(notify(gathering, "ana", request_id="once", kind="other")) is Reason.REQUEST_ID_REUSED
    )


async def test_a_thousand_people_are_told_at_once(gathering: Gathering) -> None:
    names = [f"user-{number}" for number in range(1000)]
    async with listening(gathering.house, gathering.user("user-999")) as last:
        assert await notify(gathering, *names) == 1000
        assert len(await last.events(1)) == 1
    rows = await gathering.house.rows(
        "SELECT count(*) FROM presence.room_event WHERE organization_id = :organization",
        organization=gathering.organization,
    )
    assert rows == [(1000,)]


async def test_all_of_a_thousand_hear_at_once_wherever_they_are_connected(
    gathering: Gathering, stores: TestStores
) -> None:
    names = [f"user-{number}" for number in range(1000)]
    rooms = (inbox_room(gathering.organization, name) for name in names)
    missing = {channel_of(SCHEMA, room_id).encode() for room_id in rooms}
    async with open_redis(stores.redis_url) as redis, redis.pubsub() as pubsub:
        # Each is told in a channel of their own, to which their worker listens.
        await pubsub.subscribe(*missing)
        await notify(gathering, *names)
        async with asyncio.timeout(5):
            async for message in pubsub.listen():
                if message["type"] == "message":
                    missing.discard(message["channel"])
                if not missing:
                    break


async def test_many_who_tell_the_same_people_do_not_stop_each_other(gathering: Gathering) -> None:
    names = [f"user-{number}" for number in range(40)]
    before = await caught_up(gathering, gathering.user("user-7"))
    await asyncio.gather(
        *(notify(gathering, *(names if turn % 2 else reversed(names)), kind=f"k{turn}") for turn in range(12))
    )
    after = await caught_up(gathering, gathering.user("user-7"), after=before.cursor)
    assert [event.seq for event in events_of(after)] == list(range(1, 13))
    assert {event.custom.kind for event in events_of(after)} == {f"k{turn}" for turn in range(12)}


async def test_who_connects_finds_what_waits(gathering: Gathering) -> None:
    for number in range(3):
        await notify(gathering, "ana", invitation=invited(gathering, number))
    await notify(gathering, "ana", invitation=invited(gathering, 1, "ACCEPTED"))
    await notify(gathering, "ana", start=starting(gathering, "STARTED"))
    snapshot = await waiting_for(gathering, gathering.user("ana"))
    assert [each.invitation_id for each in snapshot.invitations] == ["invitation-2", "invitation-0"]
    assert [each.stage for each in snapshot.starts] == [inbox_pb2.START_STAGE_STARTED]


async def test_what_is_over_waits_no_more_and_what_comes_late_is_not_told(gathering: Gathering) -> None:
    assert await notify(gathering, "ana", start=starting(gathering, "ENDED", minutes=1)) == 1
    before = await caught_up(gathering, gathering.user("ana"))
    assert await notify(gathering, "ana", "bo", start=starting(gathering, "STARTED", minutes=2)) == 1
    assert not events_of(await caught_up(gathering, gathering.user("ana"), after=before.cursor))
    assert not (await waiting_for(gathering, gathering.user("ana"))).starts


@pytest.mark.parametrize("stage", ["SCHEDULED", "STARTED", "ENDED"])
async def test_who_knows_is_not_told_again(gathering: Gathering, stage: str) -> None:
    """A page of people is repeated with others in it, when somebody has left meanwhile."""
    start = starting(gathering, stage, minutes=1)
    before = await caught_up(gathering, gathering.user("ana"))
    assert await notify(gathering, "ana", start=start) == 1
    assert await notify(gathering, "ana", "bo", start=start) == 1
    start.title = "Another title"
    start.stage_time.seconds += 1
    assert await notify(gathering, "ana", "bo", start=start) == 2
    assert len(events_of(await caught_up(gathering, gathering.user("ana"), after=before.cursor))) == 2


async def test_nobody_is_invited_by_whom_they_block(gathering: Gathering) -> None:
    club = Club(gathering.house, gathering.organization)
    before_it, after_it = (invited(gathering, number) for number in range(2))
    before_it.from_user_id = after_it.from_user_id = "pest"
    assert await notify(gathering, "ana", "bo", invitation=before_it) == 2
    await club.block("ana", "pest")
    assert await notify(gathering, "ana", "bo", invitation=after_it) == 1
    waiting = (await waiting_for(gathering, gathering.user("ana"))).invitations
    assert [each.invitation_id for each in waiting] == [before_it.invitation_id]
    # How it ends is told to who was told of it, and to nobody else.
    for invitation, told in ((before_it, 2), (after_it, 1)):
        invitation.stage = inbox_pb2.INVITATION_STAGE_CANCELLED
        assert await notify(gathering, "ana", "bo", invitation=invitation) == told
    assert not (await waiting_for(gathering, gathering.user("ana"))).invitations


async def test_an_invitation_that_ran_out_waits_no_more(gathering: Gathering) -> None:
    past = Timestamp()
    past.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    notice = invited(gathering, 1)
    notice.expire_time.CopyFrom(past)
    await notify(gathering, "ana", invitation=notice)
    assert not (await waiting_for(gathering, gathering.user("ana"))).invitations


async def test_only_a_service_of_the_organization_tells(gathering: Gathering) -> None:
    request = pb.NotifyRequest(
        organization_id=gathering.organization, user_ids=["ana"], custom=inbox_pb2.CustomNotice(kind="note")
    )
    call = gathering.house.presence.Notify
    other = bearer(issue_service_token(SECRET, service="arena", organization_id="another"))
    for who in (gathering.user("ana"), gathering.guest("ana"), other):
        assert await reason_of(call(request, metadata=who)) is Reason.PERMISSION_DENIED
    for_all = bearer(issue_service_token(SECRET, service="arena"))
    assert (await call(request, metadata=for_all)).inbox_count == 1


@pytest.mark.parametrize("scope", [ORGANIZATION, Scope(kind="SCOPE_KIND_SESSION")])
async def test_a_start_and_an_invitation_name_their_place(gathering: Gathering, scope: Scope) -> None:
    start, invitation = starting(gathering, "OPEN"), invited(gathering, 1)
    start.scope.CopyFrom(scope)
    invitation.scope.CopyFrom(scope)
    assert await reason_of(notify(gathering, "ana", start=start)) is Reason.INVALID_FIELD
    assert await reason_of(notify(gathering, "ana", invitation=invitation)) is Reason.INVALID_FIELD


async def test_who_was_erased_has_no_inbox(gathering: Gathering) -> None:
    await gathering.house.rows(
        "INSERT INTO presence.erased_user VALUES (:organization, 'ana', now()) RETURNING 1",
        organization=gathering.organization,
    )
    assert await notify(gathering, "ana", "bo") == 1
    assert await gathering.house.rows(
        "SELECT room_id FROM presence.room_event WHERE organization_id = :organization",
        organization=gathering.organization,
    ) == [(inbox_room(gathering.organization, "bo"),)]


async def test_what_was_kept_long_enough_goes(gathering: Gathering) -> None:
    house, ana = gathering.house, gathering.user("ana")
    empty = await caught_up(gathering, ana)
    await notify(gathering, "ana", start=starting(gathering, "STARTED"))
    one = await caught_up(gathering, ana)
    room_id = inbox_room(gathering.organization, "ana")
    await Club(house, gathering.organization).ask("bo", "cy")
    await house.rows(
        "UPDATE presence.room_event SET create_time = now() - interval '31 days'"
        " WHERE organization_id = :organization RETURNING 1",
        organization=gathering.organization,
    )
    await house.rows(
        "UPDATE presence.inbox_item SET expire_time = now() - interval '1 s'"
        " WHERE room_id = :room RETURNING 1",
        room=room_id,
    )
    await notify(gathering, "ana", kind="new")
    writer = Database.open(house.urls.writer_url, pool_size=1)
    try:
        assert await sweep_inboxes(writer, timedelta(days=30)) >= 2
    finally:
        await writer.close()
    rows = await house.rows(
        "SELECT room_id, seq FROM presence.room_event WHERE organization_id = :organization",
        organization=gathering.organization,
    )
    assert rows == [(room_id, 2)]
    assert not await house.rows("SELECT 1 FROM presence.inbox_item WHERE room_id = :room", room=room_id)
    assert kinds_of(events_of(await caught_up(gathering, ana, after=one.cursor))) == ["new"]
    late = await caught_up(gathering, ana, after=empty.cursor)
    causes = [frame.reset.cause for frame in late.frames if frame.WhichOneof("frame") == "reset"]
    assert causes == [RESET_CAUSE_CURSOR_STALE]


async def test_nothing_is_too_late_that_says_nothing_of_its_time(gathering: Gathering) -> None:
    await notify(gathering, "ana", invitation=invited(gathering, 1))
    # As put by a transaction that began after those that come now.
    await gathering.house.rows(
        "UPDATE presence.inbox_item SET order_time = now() + interval '1 s'"
        " WHERE room_id = :room RETURNING 1",
        room=inbox_room(gathering.organization, "ana"),
    )
    assert await notify(gathering, "ana", invitation=invited(gathering, 1, "CANCELLED")) == 1
    assert not (await waiting_for(gathering, gathering.user("ana"))).invitations
