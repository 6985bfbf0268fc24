"""Watching a scope: snapshot, who comes, changes and goes in order, and the counts."""

import asyncio
import time

import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.stream.v1.stream_pb2 import (
    RECONNECT_CAUSE_TICKET_EXPIRED,
    RESET_CAUSE_CURSOR_FOREIGN,
    RESET_CAUSE_STORE_REBUILT,
)
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.scope_keys import keys_of

from tests.conftest import TestStores
from tests.quickness import assert_quick
from tests.rpc.house import House, reason_of
from tests.rpc.presence_guests import ORGANIZATION, Gathering
from tests.rpc.presence_watcher import watching

SECONDS = 10


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


async def test_who_comes_changes_and_goes_is_told_in_order(gathering: Gathering) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    await gathering.beat(ana)
    async with watching(gathering, ana) as watcher:
        await watcher.until(lambda held: held.snapshots)
        assert list(watcher.here) == ["ana"]
        await gathering.beat(bo)
        await gathering.do(bo, "competition", target_id="c1")
        await gathering.leave(bo)
        await watcher.until(lambda held: len(held.told) == 3)
        assert watcher.told == ["entered", "updated", "left"]
        assert list(watcher.here) == ["ana"]


async def test_coming_and_a_goodbye_are_seen_at_once(gathering: Gathering) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    async with watching(gathering, ana) as watcher:
        await watcher.until(lambda held: held.snapshots)

        async def slower() -> float:
            start = time.monotonic()
            await gathering.beat(bo)
            await watcher.until(lambda held: "bo" in held.here)
            came = time.monotonic()
            await gathering.leave(bo)
            await watcher.until(lambda held: "bo" not in held.here)
            return max(came - start, time.monotonic() - came)

        await assert_quick(0.25, slower)


async def test_staff_are_hidden_from_others_and_counted_for_staff(gathering: Gathering) -> None:
    host, ana = gathering.guest("host", RoomRole.HOST), gathering.guest("ana")
    async with (
        watching(gathering, ana) as guest,
        watching(gathering, host, include_staff=True) as staff,
    ):
        await guest.until(lambda held: held.snapshots)
        await staff.until(lambda held: held.snapshots)
        await gathering.beat(host)
        await gathering.beat(ana)
        await guest.until(lambda held: held.seq == 2)
        await staff.until(lambda held: held.seq == 2)
        assert (guest.told, list(guest.here)) == (["hidden", "entered"], ["ana"])
        assert (staff.told, list(staff.here)) == (["entered", "entered"], ["host", "ana"])
        await guest.until(lambda held: held.counts and held.counts.total_count == 1)
        await staff.until(lambda held: held.counts and held.counts.total_count == 2)
    request = pb.WatchScopeRequest(scope=gathering.scope, include_staff=True)
    call = gathering.house.presence.WatchScope(request, metadata=ana)
    assert await reason_of(call.read()) is Reason.PERMISSION_DENIED


async def test_a_watch_goes_on_where_it_was(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    async with watching(gathering, ana) as first:
        await first.until(lambda held: held.snapshots)
        await gathering.beat(ana)
        await first.until(lambda held: held.told)
    for name in ("bo", "cy"):
        await gathering.beat(gathering.guest(name))
    async with watching(gathering, ana, after=first.cursor) as again:
        again.here = first.here
        await again.until(lambda held: held.seq == 3)
        assert (again.told, again.snapshots, again.resets) == (["entered", "entered"], 0, [])


async def test_a_cursor_of_others_is_none_of_the_staffs(gathering: Gathering) -> None:
    host = gathering.guest("host", RoomRole.HOST)
    await gathering.beat(host)
    async with watching(gathering, host) as others:
        await others.until(lambda held: held.snapshots)
        assert list(others.here) == []
    async with watching(gathering, host, after=others.cursor, include_staff=True) as staff:
        await staff.until(lambda held: held.snapshots)
        assert staff.resets == [RESET_CAUSE_CURSOR_FOREIGN]
        assert list(staff.here) == ["host"]


async def test_a_loss_is_one_reset_for_each_watcher(gathering: Gathering, stores: TestStores) -> None:
    ana, bo = gathering.guest("ana"), gathering.guest("bo")
    for who in (ana, bo):
        await gathering.beat(who)
    async with (
        watching(gathering, ana) as one,
        watching(gathering, bo) as other,
        open_redis(stores.redis_url) as redis,
    ):
        for watcher in (one, other):
            await watcher.until(lambda held: held.snapshots)
        scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
        await redis.delete(*keys_of(scope))
        await gathering.beat(ana)
        await gathering.beat(bo)
        await gathering.beat(gathering.guest("cy"))
        for watcher in (one, other):
            await watcher.until(lambda held: held.here.keys() == {"ana", "bo", "cy"} and held.resets)
            await watcher.until(lambda held: held.counts and held.counts.total_count == 3)
            assert (watcher.resets, watcher.snapshots) == ([RESET_CAUSE_STORE_REBUILT], 2)


async def test_an_empty_scope_that_was_lost_is_reset_too(gathering: Gathering, stores: TestStores) -> None:
    ana = gathering.guest("ana")
    await gathering.beat(ana)
    async with watching(gathering, ana) as watcher, open_redis(stores.redis_url) as redis:
        await watcher.until(lambda held: held.snapshots and held.counts)
        scope = ScopeId(gathering.organization, ScopeKind.SESSION, gathering.session_id)
        await redis.delete(*keys_of(scope))
        await watcher.until(lambda held: held.snapshots == 2 and held.counts.total_count == 0)
        assert watcher.here == {}


async def test_counts_alone(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    async with watching(gathering, ana, counts_only=True) as watcher:
        await watcher.until(lambda held: held.counts is not None)
        assert watcher.counts.total_count == 0
        await gathering.beat(ana)
        await gathering.beat(ana, device_id="tv")
        await watcher.until(lambda held: held.counts.device_count == 2)
        assert watcher.counts.total_count == 1
        assert (watcher.snapshots, watcher.told) == (0, [])


async def test_counts_come_a_few_times_a_second_however_many_come(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    async with watching(gathering, ana, counts_only=True) as watcher:
        await watcher.until(lambda held: held.counts is not None)
        start, views = time.monotonic(), 0
        for number in range(100):
            await gathering.beat(gathering.guest(f"u{number % 10}"), device_id=f"d{number}")
        async with asyncio.timeout(SECONDS):
            while watcher.counts.device_count < 100:
                watcher.take(await watcher.call.read())
                views += 1
        assert views <= 4 * (time.monotonic() - start) + 2


@pytest.mark.parametrize("counts_only", [False, True])
async def test_a_stream_ends_with_the_token(gathering: Gathering, counts_only: bool) -> None:
    request = pb.WatchScopeRequest(scope=ORGANIZATION, counts_only=counts_only)
    call = gathering.house.presence.WatchScope(request, metadata=gathering.briefly("ana"))
    async with asyncio.timeout(SECONDS):
        frames = [frame async for frame in call]
    assert frames[-1].reconnect.cause == RECONNECT_CAUSE_TICKET_EXPIRED


async def test_replay_ends_when_all_was_sent(gathering: Gathering) -> None:
    ana = gathering.guest("ana")
    await gathering.beat(ana)
    request = pb.WatchScopeRequest(scope=gathering.scope, replay_only=True)
    call = gathering.house.presence.WatchScope(request, metadata=ana)
    async with asyncio.timeout(SECONDS):
        kinds = [frame.WhichOneof("frame") async for frame in call]
    assert kinds == ["snapshot", "view"]


async def test_who_may_not_look_does_not_watch(gathering: Gathering) -> None:
    await gathering.beat(gathering.guest("ana"))
    request = pb.WatchScopeRequest(scope=gathering.scope)
    elsewhere = Gathering(gathering.house, session_id=gathering.session_id)
    for who in (gathering.user("bo"), elsewhere.user("owner", OrganizationRole.OWNER), elsewhere.service):
        call = gathering.house.presence.WatchScope(request, metadata=who)
        assert await reason_of(call.read()) is Reason.NOT_FOUND


async def test_a_crowd_that_comes_to_watch_at_once_is_let_in(gathering: Gathering) -> None:
    request = pb.WatchScopeRequest(scope=gathering.scope, max_frames=1)

    async def first_of(user_id: str) -> pb.WatchScopeResponse:
        who = gathering.guest(user_id)
        return await anext(aiter(gathering.house.presence.WatchScope(request, metadata=who)))

    # More than a client of Redis has connections.
    frames = await asyncio.gather(*(first_of(f"user-{number}") for number in range(300)))
    assert {frame.WhichOneof("frame") for frame in frames} == {"snapshot"}
