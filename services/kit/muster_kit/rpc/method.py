"""The wrapper around every servicer's method: lets calls in, checks requests, tells of failures."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.admission import Admission
from muster_kit.rpc.call import Call, Context
from muster_kit.rpc.metrics import CallMetrics
from muster_kit.rpc.open_calls import OpenCalls
from muster_kit.rpc.options import Limits
from muster_kit.rpc.policy import Rule
from muster_kit.rpc.status import WireStatus, explain, wire_status
from muster_kit.rpc.validation import Validation, refuse_nul

_log = structlog.get_logger(__name__)

# Seconds. The client counts from when it sent, so its deadline passes before ours.
_DEADLINE_SLACK: Final = 0.05

_LOG_LEVELS: Final = {Reason.INTERNAL: logging.ERROR, Reason.UNAVAILABLE: logging.WARNING}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all methods of a server share."""

    admission: Admission
    validation: Validation
    open_calls: OpenCalls
    metrics: CallMetrics
    limits: Limits
    trusted_proxies: int


class Method(ABC):
    """One method; `handle` is what gRPC calls, with bytes in and out."""

    __slots__ = (
        "_admission",
        "_metrics",
        "_open_calls",
        "_request_class",
        "_request_limit",
        "_response_class",
        "_rule",
        "_servicer_method",
        "_trusted_proxies",
        "_validate",
        "name",
    )

    def __init__(
        self,
        name: str,
        descriptor: MethodDescriptor,
        servicer_method: Callable[..., Awaitable[Any]],
        rule: Rule,
        surroundings: Surroundings,
    ) -> None:
        self.name = name
        self._servicer_method = servicer_method
        self._rule = rule
        self._request_class: type[Message] = GetMessageClass(descriptor.input_type)
        self._response_class: type[Message] = GetMessageClass(descriptor.output_type)
        self._admission = surroundings.admission
        self._open_calls = surroundings.open_calls
        self._request_limit = surroundings.limits.request_bytes
        self._trusted_proxies = surroundings.trusted_proxies
        self._validate = surroundings.validation.check_of(self._request_class)
        self._metrics = surroundings.metrics.of(*name.split("/"))

    async def handle(self, incoming: Any, context: Context) -> bytes:
        """Serve one call; whatever fails is told by the status alone."""
        call = Call(context, method=self.name, decode=self._decode, trusted_proxies=self._trusted_proxies)
        response = b""
        failure: WireStatus | None = None
        try:
            call.caller = await self._admission.admit(self._rule, context)
            response = await self._serve(incoming, call)
        except asyncio.CancelledError as error:
            if call.absorb_end():
                failure = self._explain(call, call.ended_by) if call.ended_by else None
            elif call.is_cancelled():
                self._metrics.ended(_cancelled_code(call))
                raise
            else:
                # Something the servicer waited for was cancelled. gRPC takes that for the end of the
                # call, says nothing, and the client would wait for ever.
                failure = self._explain(call, error)
        except Exception as error:  # noqa: BLE001 - this is the funnel: what passes here leaks
            failure = self._explain(call, error)
        if failure is None:
            self._metrics.ended("OK")
        else:
            self._metrics.ended(failure.code.name)
            # Not `set_code`: with that, unary calls answer a message too, which clients never retry.
            await context.abort(failure.code, failure.message, failure.trailers)
        return response

    @abstractmethod
    async def _serve(self, incoming: Any, call: Call) -> bytes:
        """Serve a call that was let in."""

    def _decode(self, data: bytes) -> Message:
        if len(data) > self._request_limit:
            raise MusterError(Reason.TOO_LARGE)
        try:
            request = self._request_class.FromString(data)
        except DecodeError as error:
            raise MusterError(Reason.MALFORMED_REQUEST, detail=str(error)) from None
        self._validate(request)
        if b"\0" in data:
            refuse_nul(request)
        return request

    def _encode(self, response: Any) -> bytes:
        if not isinstance(response, self._response_class):
            raise TypeError(f"{self.name} answers with {type(response).__name__}")
        return response.SerializeToString()

    def _explain(self, call: Call, error: BaseException) -> WireStatus:
        told = explain(error)
        internal = told.reason is Reason.INTERNAL
        status = wire_status(told, call_id=call.call_id if internal else "")
        level = _LOG_LEVELS.get(told.reason, logging.INFO if told.detail else logging.DEBUG)
        _log.log(
            level,
            "call_failed",
            method=self.name,
            reason=told.reason.value,
            detail=told.detail,
            call_id=call.call_id,
            subject=call.caller.subject,
            exc_info=error if internal else None,
        )
        return status


class UnaryMethod(Method):
    """One request, one response."""

    __slots__ = ()

    async def _serve(self, incoming: Any, call: Call) -> bytes:
        self._open_calls.add_unary(call)
        try:
            response = await self._servicer_method(self._decode(incoming), call)
            return response if type(response) is bytes else self._encode(response)
        finally:
            self._open_calls.discard_unary(call)
            self._metrics.took(time.monotonic() - call.start_time)


class _StreamingMethod(Method):
    __slots__ = ()

    async def _serve(self, incoming: Any, call: Call) -> bytes:
        self._open_calls.add_stream(call)
        self._metrics.open_streams += 1
        try:
            return await self._stream(incoming, call) or b""
        finally:
            self._open_calls.discard_stream(call)
            self._metrics.open_streams -= 1

    @abstractmethod
    def _stream(self, incoming: Any, call: Call) -> Awaitable[bytes | None]:
        """Let the servicer take its part of the stream; returns the response if there is just one."""


class ServerStreamMethod(_StreamingMethod):
    """One request, a stream of responses."""

    __slots__ = ()

    def _stream(self, incoming: Any, call: Call) -> Awaitable[None]:
        return self._servicer_method(self._decode(incoming), call)


class ClientStreamMethod(_StreamingMethod):
    """A stream of requests, one response."""

    __slots__ = ()

    async def _stream(self, _: Any, call: Call) -> bytes:
        response = await self._servicer_method(call)
        return response if type(response) is bytes else self._encode(response)


class BidiStreamMethod(_StreamingMethod):
    """A stream of requests, a stream of responses."""

    __slots__ = ()

    def _stream(self, _: Any, call: Call) -> Awaitable[None]:
        return self._servicer_method(call)


class UnknownMethod:
    """What answers calls of methods nobody serves."""

    def __init__(self, metrics: CallMetrics) -> None:
        # One label for all of them: their names are the callers' to invent.
        self._metrics = metrics.of("unknown", "unknown")
        self._status = wire_status(MusterError(Reason.UNIMPLEMENTED))

    async def handle(self, _: Any, context: Context) -> None:
        """Answer UNIMPLEMENTED without reading a request, whose shape nobody knows."""
        self._metrics.ended(self._status.code.name)
        await context.abort(self._status.code, self._status.message, self._status.trailers)


def _cancelled_code(call: Call) -> str:
    remaining = call.time_remaining()
    return "DEADLINE_EXCEEDED" if remaining is not None and remaining < _DEADLINE_SLACK else "CANCELLED"
