"""Presence at two workers over a Redis Cluster: scopes on all nodes, one that loses all, one that dies."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import LEAVE_CAUSE_LEFT, LEAVE_CAUSE_VANISHED
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.scope_keys import keys_of
from muster_presence.settings import PresenceServiceSettings
from muster_presence.store_redis import SCOPES

from tests.conftest import TestStores
from tests.rpc.house import open_house, reason_of
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_watcher import watching
from tests.rpc.presence_workers import Workers, open_workers
from tests.valkey_cluster import ValkeyCluster
from tests.waiting import until

BRISK = PresenceServiceSettings(
    beat_interval=timedelta(seconds=1),
    stale_after=timedelta(seconds=2),
    return_grace=timedelta(seconds=0.5),
)


@pytest.fixture(scope="module")
async def workers(
    clustered_stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Workers]:
    """Two workers over a cluster, that soon miss people and look for what was lost."""
    async with (
        open_house(clustered_stores, tmp_path_factory.mktemp("cluster")) as house,
        open_workers(house, BRISK) as workers,
    ):
        for app in workers.apps:
            app._reconciler._every_seconds = 0.5
        yield workers


@pytest.fixture
def gatherings(workers: Workers, cluster: ValkeyCluster) -> list[Gathering]:
    """A session on each node, of one organization, seen from the first worker."""
    organization = uuid.uuid4().hex
    found: dict[int, Gathering] = {}
    for number in itertools.count():
        node = cluster.node_of(keys_of(ScopeId(organization, ScopeKind.SESSION, f"s{number}"))[0])
        found.setdefault(node, Gathering(workers.houses[0], organization, f"s{number}"))
        if len(found) == len(cluster.nodes):
            return [found[node] for node in range(len(cluster.nodes))]
    raise AssertionError


def elsewhere(gathering: Gathering, workers: Workers) -> Gathering:
    """Return the same session, seen from the second worker."""
    return replace(gathering, house=workers.houses[1])


def connect(gathering: Gathering, user_id: str, *others: Gathering, device_id: str = "phone") -> Any:
    """Open a stream of somebody who is in several sessions."""
    request = pb.ConnectRequest(
        device_id=device_id, scopes=[each.entry(user_id) for each in (gathering, *others)]
    )
    return gathering.house.presence.Connect(request, metadata=gathering.user(user_id))


async def test_people_in_scopes_of_all_nodes_are_seen_at_both_workers(
    gatherings: list[Gathering], workers: Workers
) -> None:
    async with AsyncExitStack() as exits:
        watchers = [
            await exits.enter_async_context(watching(elsewhere(each, workers), each.guest("viewer")))
            for each in gatherings
        ]
        for watcher in watchers:
            await watcher.until(lambda held: held.snapshots)
        stream = connect(*gatherings[:1], "ana", *gatherings[1:])
        await stream.read()
        for watcher in watchers:
            await watcher.until(lambda held: held.told == ["entered"] and held.counts.total_count == 1)
        for each in gatherings:
            counts = [
                (await place.count(place.guest("viewer"))).total_count for place in _both(each, workers)
            ]
            assert counts == [1, 1]
        # With one call, at the worker that does not have the stream.
        request = pb.LeaveRequest(device_id="phone", scopes=[each.scope for each in gatherings])
        await workers.houses[1].presence.Leave(request, metadata=gatherings[0].user("ana"))
        for watcher in watchers:
            await watcher.until(
                lambda held: held.told == ["entered", "left"] and held.counts.total_count == 0
            )
        stream.cancel()


async def test_who_has_devices_at_both_workers_comes_once_and_goes_once(
    gatherings: list[Gathering], workers: Workers
) -> None:
    gathering = gatherings[1]
    async with watching(gathering, gathering.guest("viewer")) as watcher:
        await watcher.until(lambda held: held.snapshots)
        phone = connect(gathering, "ana")
        tablet = connect(elsewhere(gathering, workers), "ana", device_id="tablet")
        await asyncio.gather(phone.read(), tablet.read())
        await watcher.until(lambda held: held.counts is not None and held.counts.device_count == 2)
        phone.cancel()
        await watcher.until(lambda held: held.counts.device_count == 1)
        assert await elsewhere(gathering, workers).here(gathering.guest("viewer")) == ["ana"]
        tablet.cancel()
        await watcher.until(lambda held: not held.here)
        assert [kind for kind in watcher.told if kind != "updated"] == ["entered", "left"]
    (stay,) = await _stays(gathering, "ana", over=True)
    assert stay.cause == LEAVE_CAUSE_VANISHED


async def test_where_a_node_lost_all_it_is_known_again_who_is_here(
    gatherings: list[Gathering], workers: Workers, cluster: ValkeyCluster
) -> None:
    # The one that tells where to sweep: elsewhere nothing is lost but that.
    node = cluster.node_of(SCOPES)
    stream = connect(gatherings[0], "ana", *gatherings[1:])
    await stream.read()
    for each in gatherings:
        await elsewhere(each, workers).beat(each.guest("bo"))
    async with AsyncExitStack() as exits:
        watchers = [
            await exits.enter_async_context(watching(each, each.guest("viewer"))) for each in gatherings
        ]
        for each, watcher in zip(gatherings, watchers, strict=True):
            await watcher.until(lambda held: {"ana", "bo"} == set(held.here))
            await _stays(each, "bo")
        async with cluster.client(node) as redis:
            await redis.flushall()
        # Bo does not come back.
        for watcher in watchers:
            await watcher.until(lambda held: list(held.here) == ["ana"])
        assert [len(watcher.resets) for watcher in watchers] == [int(number == node) for number in range(3)]
    for each in gatherings:
        (stay,) = await _stays(each, "ana")
        assert not stay.HasField("leave_time")
        (gone,) = await _stays(each, "bo", over=True)
        assert gone.cause == LEAVE_CAUSE_VANISHED
    stream.cancel()


async def test_a_node_that_dies_keeps_nobody_from_coming_back(
    gatherings: list[Gathering], workers: Workers, cluster: ValkeyCluster
) -> None:
    number = cluster.node_of(SCOPES)
    gathering, node = gatherings[number], cluster.nodes[number]
    ana = gathering.guest("ana")
    await gathering.beat(ana)
    node.kill()
    await node.wait()
    for place in _both(gathering, workers):
        assert await reason_of(place.beat(ana)) is Reason.UNAVAILABLE
    await cluster.start()

    async def is_taken() -> bool:
        results = await asyncio.gather(
            *(place.beat(ana) for place in _both(gathering, workers)), return_exceptions=True
        )
        return not any(isinstance(result, Exception) for result in results)

    await until(is_taken)
    async with watching(elsewhere(gathering, workers), ana) as watcher:
        await watcher.until(lambda held: list(held.here) == ["ana"])
        await gathering.leave(ana)
        await watcher.until(lambda held: not held.here)
    (stay,) = await _stays(gathering, "ana", over=True)
    assert stay.cause == LEAVE_CAUSE_LEFT


def _both(gathering: Gathering, workers: Workers) -> tuple[Gathering, Gathering]:
    return gathering, elsewhere(gathering, workers)


async def _stays(gathering: Gathering, user_id: str, *, over: bool = False) -> list[Any]:
    """Return the intervals of somebody in the session as soon as there are any, or any that are over."""
    admin = gathering.user("admin", OrganizationRole.ADMIN)
    request = pb.ListHistoryRequest(user_id=user_id, scope=gathering.scope)

    async def found() -> list[Any]:
        reply = await gathering.house.presence.ListHistory(request, metadata=admin)
        return [stay for stay in reply.intervals if not over or stay.HasField("leave_time")]

    return list(await until(found))
