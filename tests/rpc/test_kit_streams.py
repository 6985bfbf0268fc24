"""The kit's server with streams: what they carry, and every way they end."""

import asyncio
import itertools
import time
from typing import Any

import grpc
import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.call import Call
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.options import Limits
from muster_kit.rpc.revocations import Revocations

from tests.conftest import TestStores
from tests.quickness import assert_quick
from tests.rpc.kit_service import NAME, EchoServicer, SayRequest, SayResponse, hearing, refusal, serve, told
from tests.rpc.relay import Relay

QUESTION = SayRequest(text="hello")


async def stay(_request: Any, call: Call) -> None:
    """Say one thing, and stay."""
    await call.write(SayResponse(text="open"))
    await asyncio.Event().wait()


async def test_ready_bytes_and_messages_are_written_alike() -> None:
    async def watch(_request: Any, call: Call) -> None:
        await call.write(SayResponse(text="one"))
        await call.write(SayResponse(text="two").SerializeToString())

    async with serve(EchoServicer(watch=watch)) as serving:
        call = serving.stream(QUESTION)
        assert [answer.text async for answer in call] == ["one", "two"]
        assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_fails_with_its_reason_after_what_it_said() -> None:
    async def watch(_request: Any, call: Call) -> None:
        await call.write(SayResponse(text="one"))
        raise MusterError(Reason.SESSION_FULL)

    async with serve(EchoServicer(watch=watch)) as serving:
        call = serving.stream(QUESTION)
        assert (await call.read()).text == "one"
        assert told(await refusal(call.read())).reason is Reason.SESSION_FULL


async def test_a_stream_with_an_invalid_request_never_starts() -> None:
    async with serve(EchoServicer(watch=stay)) as serving:
        error = told(await refusal(serving.stream(SayRequest(text="x" * 21)).read()))
        assert [violation.field for violation in error.violations] == ["text"]


async def test_requests_are_read_until_the_client_is_done() -> None:
    async def gather(call: Call) -> Any:
        return SayResponse(text=" ".join([request.text async for request in call.requests()]))

    async with serve(EchoServicer(gather=gather)) as serving:
        assert (await serving.gather([SayRequest(text="a"), SayRequest(text="b")])).text == "a b"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(b"\xff", Reason.MALFORMED_REQUEST), (SayRequest(text="x" * 21), Reason.INVALID_FIELD)],
    ids=["malformed", "invalid"],
)
async def test_every_request_of_a_stream_is_checked(bad: Any, reason: Reason) -> None:
    async def talk(call: Call) -> None:
        async for request in call.requests():
            await call.write(SayResponse(text=request.text))

    async with serve(EchoServicer(talk=talk)) as serving:
        call = serving.talk()
        await call.write(QUESTION)
        assert (await call.read()).text == "hello"
        await call.write(bad)
        assert told(await refusal(call.read())).reason is reason


async def test_a_client_that_leaves_ends_the_servicer() -> None:
    left = asyncio.Event()

    async def talk(call: Call) -> None:
        try:
            async for request in call.requests():
                await call.write(SayResponse(text=request.text))
        finally:
            left.set()

    async with serve(EchoServicer(talk=talk)) as serving:
        call = serving.talk()
        await call.write(QUESTION)
        await call.read()
        call.cancel()
        async with asyncio.timeout(30):
            await left.wait()


async def test_writing_to_a_client_that_is_gone_counts_as_cancelled() -> None:
    gone, outcome = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def watch(_request: Any, call: Call) -> None:
        await call.write(SayResponse(text="open"))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            gone.set()
        try:
            await call.write(b"")
        except BaseException as error:
            outcome.set_result(type(error))
            raise

    async with serve(EchoServicer(watch=watch)) as serving:
        call = serving.stream(QUESTION)
        await call.read()
        call.cancel()
        async with asyncio.timeout(30):
            await gone.wait()
            assert await outcome is asyncio.CancelledError


async def test_a_client_that_does_not_read_loses_its_stream() -> None:
    ended = asyncio.Event()

    async def watch(_request: Any, call: Call) -> None:
        try:
            while True:
                await call.write(bytes(SayResponse(text="x" * 100_000).SerializeToString()))
        finally:
            ended.set()

    limits = Limits(write_seconds=0.2, sweep_seconds=0.05)
    async with serve(EchoServicer(watch=watch), limits=limits) as serving:
        stalled = serving.stream(QUESTION)
        async with asyncio.timeout(10):
            await ended.wait()
            # Others on the same connection are served all the while.
            assert (await serving.unary(QUESTION)).text == "hello"
            # What was written before still arrives; then the reason.
            error = await refusal(_drain_stream(stalled))
        assert told(error).reason is Reason.UNAVAILABLE


async def _drain_stream(call: Any) -> None:
    async for _ in call:
        pass


async def test_a_revoked_ticket_loses_its_streams_at_once(stores: TestStores) -> None:
    async with (
        open_redis(stores.redis_url) as here,
        open_redis(stores.redis_url) as elsewhere,
        hearing(Revocations(here)) as revocations,
        serve(EchoServicer(watch=stay), revocations=revocations) as serving,
    ):
        generations = itertools.count(1)

        async def kick() -> float:
            generation = next(generations)
            old, new = serving.ticket(generation=generation), serving.ticket(generation=generation + 1)
            kicked = serving.stream(QUESTION, metadata=old)
            others = [
                serving.stream(QUESTION, metadata=metadata)
                for metadata in (serving.ticket(seat="other"), new, serving.user)
            ]
            for call in (kicked, *others):
                assert (await call.read()).text == "open"
            start = time.monotonic()
            # Said by another process, as `Kick` may be served by any.
            await Revocations(elsewhere).revoke("room", "seat", generation + 1)
            error = await refusal(kicked.read())
            took = time.monotonic() - start
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert told(error).reason is Reason.TICKET_REVOKED
            assert not any(call.done() for call in others)
            again = await refusal(serving.unary(QUESTION, metadata=old))
            assert told(again).reason is Reason.TICKET_REVOKED
            assert (await serving.unary(QUESTION, metadata=new)).text == "hello"
            return took

        await assert_quick(1, kick)


async def test_draining_streams_end_with_ok_and_calls_run_to_their_end() -> None:
    answering, answer = asyncio.Event(), asyncio.Event()

    async def watch(_request: Any, call: Call) -> None:
        told_to_go = asyncio.Event()
        call.on_draining(told_to_go.set)
        await call.write(SayResponse(text="open"))
        await told_to_go.wait()
        await call.write(SayResponse(text="come back"))
        answer.set()

    async def say(request: Any, _: Call) -> Any:
        answering.set()
        await answer.wait()
        return SayResponse(text=request.text)

    async with serve(EchoServicer(watch=watch, say=say)) as serving:
        stream, call = serving.stream(QUESTION), serving.unary(QUESTION)
        await stream.read()
        await answering.wait()
        stopped = asyncio.create_task(serving.server.wait())
        start = time.monotonic()
        await serving.server.drain(10)
        assert time.monotonic() - start < 5
        await stopped
        assert (await stream.read()).text == "come back"
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        assert (await call).text == "hello"


async def test_what_does_not_end_in_the_grace_is_told_to_come_back() -> None:
    async with serve(EchoServicer(watch=stay, say=stay)) as serving:
        stream = serving.stream(QUESTION)
        await stream.read()
        await serving.server.drain(0.2)
        error = await refusal(stream.read())
        assert (error.code(), told(error).reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DRAINING)


async def test_calls_that_meet_a_draining_worker_are_served_by_another() -> None:
    async with (
        serve(reuse_port=True) as one,
        open_channel(one.address) as channel,
    ):
        say = channel.unary_unary(f"/{NAME}/Say")
        # Connected while there is but one worker to connect to.
        await say(b"", metadata=one.user)
        async with serve(reuse_port=True, listen=one.address):
            drained = asyncio.create_task(one.server.drain(5))
            for _ in range(200):
                await say(b"", metadata=one.user)
            await drained


async def test_a_peer_that_vanishes_is_found_by_pings() -> None:
    left = asyncio.Event()

    async def watch(_request: Any, call: Call) -> None:
        await call.write(SayResponse(text="open"))
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    limits = Limits(keepalive_seconds=1, ping_timeout_seconds=0.5)
    async with (
        serve(EchoServicer(watch=watch), limits=limits) as serving,
        Relay(serving.address) as relay,
        grpc.aio.insecure_channel(relay.address) as channel,
    ):
        stream = channel.unary_stream(f"/{NAME}/Watch")(b"", metadata=serving.user)
        await stream.read()
        relay.cut()
        async with asyncio.timeout(10):
            await left.wait()
