"""The kit's server with unary calls: what is checked, and what is said of failures."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import redis.exceptions
import structlog.testing
from muster_kit.errors import CATALOG, MusterError, Reason, Violation
from muster_kit.rpc.call import Call
from muster_kit.rpc.options import Limits
from prometheus_client import CollectorRegistry

from tests.rpc.kit_service import (
    EchoServicer,
    Item,
    SayRequest,
    SayResponse,
    Serving,
    echo,
    refusal,
    serve,
    told,
)

QUESTION = SayRequest(text="hello")


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def servicer() -> EchoServicer:
    return EchoServicer()


@pytest.fixture(scope="module")
async def serving(servicer: EchoServicer, registry: CollectorRegistry) -> AsyncIterator[Serving]:
    limits = Limits(request_bytes=10_000)
    async with serve(servicer, limits=limits, registry=registry) as running:
        yield running


@pytest.fixture(autouse=True)
def echo_again(servicer: EchoServicer) -> None:
    servicer.say = echo


def raising(error: BaseException) -> Any:
    async def behave(_request: Any, _call: Call) -> None:
        raise error

    return behave


async def test_a_message_is_answered(serving: Serving) -> None:
    assert (await serving.unary(QUESTION)).text == "hello"


async def test_a_ready_answer_is_sent_as_it_is(serving: Serving, servicer: EchoServicer) -> None:
    async def say(_request: Any, _call: Call) -> bytes:
        return bytes(SayResponse(text="ready").SerializeToString())

    servicer.say = say
    assert (await serving.unary(QUESTION)).text == "ready"


@pytest.mark.parametrize("reason", Reason)
async def test_every_reason_reaches_the_client(
    serving: Serving, servicer: EchoServicer, reason: Reason
) -> None:
    servicer.say = raising(MusterError(reason, detail="not for the public"))
    error = await refusal(serving.unary(QUESTION))
    assert (error.code().name, error.details()) == (CATALOG[reason].code, CATALOG[reason].message)
    assert told(error).reason is reason
    assert "not for the public" not in repr(error)


async def test_violations_and_the_time_to_wait_reach_the_client(
    serving: Serving, servicer: EchoServicer
) -> None:
    violations = (Violation("rows[3]", "line 7: no answer"), Violation("", "too few"))
    retry = timedelta(seconds=1.5)
    servicer.say = raising(MusterError(Reason.QUESTION_FILE_FAULTY, violations=violations, retry_after=retry))
    error = told(await refusal(serving.unary(QUESTION)))
    assert error.violations == violations
    assert error.retry_after == retry


async def test_more_violations_than_trailers_hold_are_counted(
    serving: Serving, servicer: EchoServicer
) -> None:
    violations = [Violation(f"rows[{number}]", "ü" * 500) for number in range(1000)]
    servicer.say = raising(MusterError(Reason.QUESTION_FILE_FAULTY, violations=violations))
    error = told(await refusal(serving.unary(QUESTION)))
    assert 5 < len(error.violations) < 50
    assert error.violations[-1].description == f"And {1001 - len(error.violations)} more."


@pytest.mark.parametrize(
    "garbage", [b"\xff", b"\x0a\x05abc", b"\x0a\x01\xff"], ids=["tag", "cut", "not utf-8"]
)
async def test_bytes_that_are_no_request_are_malformed(serving: Serving, garbage: bytes) -> None:
    error = await refusal(serving.unary(garbage))
    assert told(error).reason is Reason.MALFORMED_REQUEST
    assert "pars" not in repr(error).lower().replace("could not be read", "")


async def test_a_request_above_the_limit_is_too_large(serving: Serving) -> None:
    assert told(await refusal(serving.unary(b"\x0a" * 20_000))).reason is Reason.TOO_LARGE


async def test_a_request_beyond_all_measure_is_not_even_taken_in(serving: Serving) -> None:
    error = await refusal(serving.unary(b"\x0a" * 100_000))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_invalid_fields_are_named_by_their_paths(serving: Serving) -> None:
    request = SayRequest(text="x" * 21, items=[Item(name="fine"), Item()], labels={'a "b"': Item()})
    error = told(await refusal(serving.unary(request)))
    assert error.reason is Reason.INVALID_FIELD
    assert {violation.field: violation.description for violation in error.violations} == {
        "text": "must be at most 20 characters",
        "items[1].name": "must be at least 1 characters",
        'labels["a \\"b\\""].name': "must be at least 1 characters",
    }


async def test_a_fault_of_ours_says_nothing_but_a_call_id(serving: Serving, servicer: EchoServicer) -> None:
    servicer.say = raising(ZeroDivisionError("SELECT password FROM /home"))
    with structlog.testing.capture_logs() as log:
        error = await refusal(serving.unary(QUESTION))
    assert told(error).reason is Reason.INTERNAL
    assert error.details() == CATALOG[Reason.INTERNAL].message
    for inside in ("SELECT", "ZeroDivision", "Traceback", ".py"):
        assert inside not in repr((error, error.trailing_metadata(), error.initial_metadata()))
    [entry] = log
    assert dict(error.trailing_metadata())["muster-call-id"] == entry["call_id"]
    assert isinstance(entry["exc_info"], ZeroDivisionError)
    assert entry["log_level"] == "error"


async def test_an_answer_of_another_type_is_a_fault(serving: Serving, servicer: EchoServicer) -> None:
    async def say(_request: Any, _call: Call) -> Any:
        return Item(name="not a SayResponse")

    servicer.say = say
    assert told(await refusal(serving.unary(QUESTION))).reason is Reason.INTERNAL


@pytest.mark.parametrize(
    "away",
    [
        redis.exceptions.ConnectionError("10.0.0.3 refused"),
        redis.exceptions.TimeoutError("slow"),
        grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "10.0.0.3"
        ),
        ExceptionGroup("both", [MusterError(Reason.UNAVAILABLE)]),
    ],
    ids=["redis", "redis slow", "service", "in a group"],
)
async def test_what_is_away_for_a_moment_is_unavailable(
    serving: Serving, servicer: EchoServicer, away: Exception
) -> None:
    servicer.say = raising(away)
    error = await refusal(serving.unary(QUESTION))
    assert told(error).reason is Reason.UNAVAILABLE
    assert "10.0.0.3" not in repr(error)


async def test_a_fault_among_several_failures_is_internal(serving: Serving, servicer: EchoServicer) -> None:
    servicer.say = raising(
        ExceptionGroup("", [MusterError(Reason.NOT_FOUND), ExceptionGroup("", [KeyError("k")])])
    )
    assert told(await refusal(serving.unary(QUESTION))).reason is Reason.INTERNAL


async def test_another_service_that_refuses_us_is_a_fault(serving: Serving, servicer: EchoServicer) -> None:
    nothing = grpc.aio.Metadata()
    servicer.say = raising(grpc.aio.AioRpcError(grpc.StatusCode.PERMISSION_DENIED, nothing, nothing, "no"))
    assert told(await refusal(serving.unary(QUESTION))).reason is Reason.INTERNAL


async def test_a_method_the_servicer_lacks_is_unimplemented(serving: Serving) -> None:
    assert told(await refusal(serving.unary(QUESTION, method="Absent"))).reason is Reason.UNIMPLEMENTED


async def test_a_stream_the_servicer_lacks_is_unimplemented(serving: Serving) -> None:
    assert (
        told(await refusal(serving.stream(QUESTION, method="AbsentWatch").read())).reason
        is Reason.UNIMPLEMENTED
    )


@pytest.mark.parametrize("path", ["/kit.test.v1.EchoService/Nothing", "/no.such.Service/Say", "/x"])
async def test_an_unknown_method_is_unimplemented(serving: Serving, path: str) -> None:
    error = await refusal(serving.channel.unary_unary(path)(b"anything"))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert told(error).reason is Reason.UNIMPLEMENTED


async def test_a_cancelled_call_cancels_its_servicer(serving: Serving, servicer: EchoServicer) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def say(_request: Any, _call: Call) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    servicer.say = say
    call = serving.unary(QUESTION)
    async with asyncio.timeout(30):
        await entered.wait()
        call.cancel()
        await left.wait()


async def test_a_servicer_that_waited_for_something_cancelled_still_answers(
    serving: Serving, servicer: EchoServicer
) -> None:
    async def say(_request: Any, _call: Call) -> None:
        worker = asyncio.create_task(asyncio.Event().wait())
        worker.cancel()
        await worker

    servicer.say = say
    async with asyncio.timeout(30):
        assert told(await refusal(serving.unary(QUESTION))).reason is Reason.INTERNAL


async def test_a_client_deadline_cancels_the_servicer(
    serving: Serving, servicer: EchoServicer, registry: CollectorRegistry
) -> None:
    left = asyncio.Event()
    seen: list[float | None] = []

    async def say(_request: Any, call: Call) -> None:
        seen.append(call.time_remaining())
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    servicer.say = say
    error = await refusal(serving.unary(QUESTION, timeout=1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(30):
        await left.wait()
    assert seen[0] is not None
    assert 0 < seen[0] < 1.1
    labels = {
        "grpc_service": "kit.test.v1.EchoService",
        "grpc_method": "Say",
        "grpc_code": "DEADLINE_EXCEEDED",
    }
    assert registry.get_sample_value("grpc_server_handled_total", labels)


async def test_a_call_without_a_deadline_is_bounded_all_the_same() -> None:
    async def say(_request: Any, _call: Call) -> None:
        await asyncio.Event().wait()

    limits = Limits(unary_seconds=0.1, sweep_seconds=0.05)
    async with serve(EchoServicer(say=say), limits=limits) as serving:
        async with asyncio.timeout(10):
            assert told(await refusal(serving.unary(QUESTION))).reason is Reason.DEADLINE_EXCEEDED


async def test_calls_are_counted_by_code(serving: Serving, registry: CollectorRegistry) -> None:
    labels = {"grpc_service": "kit.test.v1.EchoService", "grpc_method": "Say"}
    name = "grpc_server_handled_total"
    before = registry.get_sample_value(name, labels | {"grpc_code": "OK"})
    assert before is not None
    await serving.unary(QUESTION)
    assert registry.get_sample_value(name, labels | {"grpc_code": "OK"}) == before + 1
    await refusal(serving.unary(b"\xff"))
    assert registry.get_sample_value(name, labels | {"grpc_code": "INVALID_ARGUMENT"})
    assert registry.get_sample_value("grpc_server_handling_seconds_count", labels)


async def test_thousands_of_calls_at_once_wait_and_are_all_answered(serving: Serving) -> None:
    # More than gRPC would hold by itself before this process takes up the first.
    answers = await asyncio.gather(*(serving.unary(QUESTION) for _ in range(4000)))
    assert {answer.text for answer in answers} == {"hello"}
