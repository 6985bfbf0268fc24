"""One function opens Redis, be it a server or a cluster; who uses it need not know which."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import listening_server, open_redis
from muster_kit.redis_scripts import answer
from muster_stack.embedded.site import choose_site
from muster_stack.state import State
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.valkey_cluster import ValkeyCluster
from tests.waiting import until

PATIENCE = timedelta(seconds=1)
NAMES = "abcdef"
"""Keys on all nodes."""


@pytest.fixture
async def redis(cluster: ValkeyCluster) -> AsyncIterator[Redis]:
    async with open_redis(cluster.url, patience=PATIENCE) as redis:
        yield redis


def _pipeline(redis: Redis) -> Any:
    pipeline = redis.pipeline(transaction=False)
    for name in NAMES:
        pipeline.zadd(f"client:{name}", {name: 1})
    return pipeline


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "redis+cluster://",
        "redis+cluster://:secret@",
        "redis+cluster://node:1/3",
        "valkey",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"redis|host:port|database"):
        open_redis(url)


def test_an_address_of_a_cluster_names_some_nodes_and_who_calls() -> None:
    client: Any = open_redis("rediss+cluster://me:a%2Cb@node-1,[::1]:7001?ssl_check_hostname=no")
    assert [(node.host, node.port) for node in client.startup_nodes] == [("node-1", 6379), ("::1", 7001)]
    options = client.connection_kwargs
    assert (options["username"], options["password"]) == ("me", "a,b")
    assert options["ssl_check_hostname"] is False


async def test_a_pipeline_reaches_all_nodes_and_publishes(redis: Redis, cluster: ValkeyCluster) -> None:
    assert {cluster.node_of(f"client:{name}") for name in NAMES} == {0, 1, 2}
    async with listening_server(redis) as server, server.pubsub() as pubsub:
        await pubsub.subscribe("client")
        assert await pubsub.get_message(timeout=5)
        pipeline = _pipeline(redis)
        pipeline.publish("client", b"said")
        await pipeline.execute()
        message = await pubsub.get_message(timeout=5)
    assert message is not None
    assert message["data"] == b"said"
    assert await redis.zscore("client:a", "a") == 1


async def test_the_time_is_that_of_one_server(redis: Redis) -> None:
    times = [await redis.time() for _ in range(5)]
    assert times == sorted(times)
    assert all(isinstance(seconds, int) for seconds, _ in times)


@pytest.mark.parametrize(
    "call",
    [
        lambda redis: redis.get("key"),
        lambda redis: redis.publish("channel", b""),
        lambda redis: _pipeline(redis).execute(),
        lambda redis: redis.time(),
    ],
    ids=["command", "publication", "pipeline", "time"],
)
async def test_a_cluster_that_is_away_is_an_error_like_any_other(
    call: Callable[[Redis], Awaitable[Any]],
) -> None:
    nowhere = open_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2", patience=PATIENCE)
    for _ in range(2):
        with pytest.raises(RedisError):
            await call(nowhere)
    with pytest.raises(MusterError) as caught:
        await answer(call(nowhere))
    await nowhere.aclose()
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_nobody_listens_at_a_cluster_that_is_away() -> None:
    with pytest.raises(RedisError):
        async with listening_server(open_redis("redis+cluster://127.0.0.1:1", patience=PATIENCE)):
            pass


async def test_keys_that_have_moved_to_another_node_are_found(redis: Redis, cluster: ValkeyCluster) -> None:
    slot, old = key_slot(b"client:moved"), cluster.node_of("client:moved")
    await redis.get("client:moved")

    async def move(origin: int, target: int) -> None:
        async with cluster.client(target) as node, cluster.client(origin) as other:
            target_id, origin_id = [await each.execute_command("CLUSTER", "MYID") for each in (node, other)]
            await node.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", origin_id)
            for each in (node, other):
                await each.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    new = (old + 1) % 3
    await move(old, new)
    try:
        pipeline = redis.pipeline(transaction=False)
        pipeline.set("client:moved", "here")
        assert await pipeline.execute() == [True]
        async with cluster.client(new) as node:
            assert await node.get("client:moved") == b"here"
        assert await redis.unlink("client:moved") == 1
    finally:
        await move(new, old)
    assert await redis.get("client:moved") is None


@asynccontextmanager
async def _replicated(state: State) -> AsyncIterator[ValkeyCluster]:
    cluster = ValkeyCluster(
        home=state.root,
        log=state.logs / "replicated.log",
        site=await choose_site(state),
        primaries=1,
        replicas=1,
    )
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


async def test_when_a_replica_takes_over_scripts_and_listeners_follow(state_directory: State) -> None:
    async with (
        _replicated(state_directory) as cluster,
        open_redis(cluster.url, patience=PATIENCE) as redis,
    ):
        await _pipeline(redis).execute()
        primary, _ = cluster.nodes
        primary.kill()
        await primary.wait()
        for _ in range(50):
            with pytest.raises(RedisError):
                await _pipeline(redis).execute()
        async with cluster.client(1) as replica:
            # Those that fail do not all ask who else there is.
            asked = (await replica.info("commandstats")).get("cmdstat_cluster|slots", {"calls": 0})
            assert asked["calls"] < 20
            await replica.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")

        async def is_served() -> bool:
            # Pipelines alone: nothing else finds out for them.
            replies = await asyncio.gather(_pipeline(redis).execute(), return_exceptions=True)
            return not isinstance(replies[0], BaseException)

        await until(is_served, seconds=10)
        async with listening_server(redis) as server:
            assert await server.ping()
