"""Health: what probes and load balancers are told, and that nobody can hold it up."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from muster_kit.errors import Reason
from muster_kit.rpc.health import LIVE, Health

from tests.rpc.kit_service import NAME, bearer, refusal, serve, told

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def asked(name: str = "") -> Any:
    return health_pb2.HealthCheckRequest(service=name)


async def test_check_and_list_follow_what_the_process_depends_on() -> None:
    async with serve() as serving:
        stub, health = health_pb2_grpc.HealthStub(serving.channel), serving.server.health
        assert (await stub.Check(asked())).status == SERVING
        health.report("redis", available=False)
        health.report("postgresql", available=False)
        health.report("postgresql", available=True)
        assert (await stub.Check(asked(NAME))).status == NOT_SERVING
        assert (await stub.Check(asked(LIVE))).status == SERVING
        statuses = (await stub.List(health_pb2.HealthListRequest())).statuses
        assert {name: each.status for name, each in statuses.items()} == {
            "": NOT_SERVING,
            NAME: NOT_SERVING,
            LIVE: SERVING,
        }
        health.report("redis", available=True)
        assert (await stub.Check(asked(NAME))).status == SERVING


async def test_an_unknown_service_is_not_found() -> None:
    async with serve() as serving:
        error = await refusal(health_pb2_grpc.HealthStub(serving.channel).Check(asked("no.such.Service")))
        assert told(error).reason is Reason.NOT_FOUND


async def test_a_stale_token_does_not_make_a_process_look_ill() -> None:
    async with serve() as serving:
        stub = health_pb2_grpc.HealthStub(serving.channel)
        assert (await stub.Check(asked(), metadata=bearer("stale"))).status == SERVING


async def test_a_watch_is_told_of_every_change_and_ends_with_the_drain() -> None:
    async with serve() as serving:
        stub, health = health_pb2_grpc.HealthStub(serving.channel), serving.server.health
        watch, unknown = stub.Watch(asked()), stub.Watch(asked("no.such.Service"))
        assert (await watch.read()).status == SERVING
        assert (await unknown.read()).status == UNKNOWN
        health.report("redis", available=False)
        assert (await watch.read()).status == NOT_SERVING
        health.report("redis", available=True)
        assert (await watch.read()).status == SERVING
        drained = asyncio.create_task(serving.server.drain(10))
        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        assert await watch.code() is grpc.StatusCode.OK
        await drained


async def test_a_stalled_watch_holds_up_nobody() -> None:
    async with serve() as serving, grpc.aio.insecure_channel(serving.address) as other:
        health = serving.server.health
        # Never read from: with the stock servicer, it stops all the others.
        stalled = [health_pb2_grpc.HealthStub(other).Watch(asked()) for _ in range(10)]
        stub = health_pb2_grpc.HealthStub(serving.channel)
        watch = stub.Watch(asked())
        assert (await watch.read()).status == SERVING
        async with asyncio.timeout(10):
            for available in (False, True) * 100:
                health.report("redis", available=available)
                expected = SERVING if available else NOT_SERVING
                assert (await stub.Check(asked())).status == expected
                assert (await watch.read()).status == expected
        for call in stalled:
            call.cancel()


async def test_probes_find_a_store_that_went_away_and_came_back() -> None:
    health = Health(["a"])
    answers = {"there": True}

    async def probe() -> None:
        if not answers["there"]:
            raise ConnectionError

    async def until(status: int) -> None:
        while health.status("a") != status:
            await health.changed()

    watching = asyncio.create_task(health.watch({"store": probe}, every_seconds=0.01))
    async with asyncio.timeout(30):
        answers["there"] = False
        await until(NOT_SERVING)
        answers["there"] = True
        await until(SERVING)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
