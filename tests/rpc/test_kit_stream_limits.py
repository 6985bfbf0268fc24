"""How many streams one holder may have open, and which of them has to go."""

import asyncio
from typing import Any

import grpc
import pytest
from muster_kit.caller import RoomRole
from muster_kit.errors import Reason
from muster_kit.rpc.call import Call
from muster_kit.rpc.options import Limits

from tests.rpc.kit_service import (
    EchoServicer,
    Metadata,
    SayRequest,
    SayResponse,
    Serving,
    bearer,
    refusal,
    serve,
    service_token,
    told,
)

LIMITS = Limits(streams_of_seat=2, streams_of_user=3)


async def stay(_request: Any, call: Call) -> None:
    """Say one thing, and stay."""
    await call.write(SayResponse(text="open"))
    await asyncio.Event().wait()


async def opened(serving: Serving, metadata: Metadata) -> Any:
    """A stream that is open."""
    call = serving.stream(SayRequest(), metadata=metadata)
    assert (await call.read()).text == "open"
    return call


@pytest.mark.parametrize("holder", ["seat", "user", "host without a seat"])
async def test_one_stream_too_many_ends_the_oldest_of_its_holder(holder: str) -> None:
    async with serve(EchoServicer(watch=stay), limits=LIMITS) as serving:
        metadata = {
            "seat": serving.ticket(),
            "user": serving.user,
            "host without a seat": serving.ticket(seat="", role=RoomRole.HOST),
        }[holder]
        # Those of others, opened before, which must not count.
        others = [await opened(serving, serving.ticket(seat="other")) for _ in range(2)]
        others.append(await opened(serving, serving.ticket(room="elsewhere")))
        streams = [await opened(serving, metadata) for _ in range(2 if holder == "seat" else 3)]
        for oldest in streams[:2]:
            streams.append(await opened(serving, metadata))
            async with asyncio.timeout(30):
                error = await refusal(oldest.read())
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert told(error).reason is Reason.RATE_LIMITED
            assert told(error).retry_after is not None
        assert not any(call.done() for call in (*others, *streams[2:]))


async def test_streams_that_have_ended_do_not_count() -> None:
    async def end(_request: Any, call: Call) -> None:
        await call.write(SayResponse(text="open"))

    servicer = EchoServicer(watch=stay)
    async with serve(servicer, limits=LIMITS) as serving:
        staying = await opened(serving, serving.ticket())
        servicer.watch = end
        for _ in range(3):
            short = await opened(serving, serving.ticket())
            assert await short.code() is grpc.StatusCode.OK
        assert not staying.done()


async def test_other_services_may_have_as_many_as_they_like() -> None:
    async with serve(EchoServicer(watch=stay), limits=LIMITS) as serving:
        streams = [await opened(serving, bearer(service_token())) for _ in range(5)]
        assert not any(call.done() for call in streams)
