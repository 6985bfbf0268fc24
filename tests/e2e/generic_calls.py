"""Calls of any method with any bytes, from its descriptor, and what came of them."""

from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from muster_kit.errors import MusterError
from muster_kit.rpc.status import received

from tests.contract.contracts import name

Metadata = tuple[tuple[str, str], ...]

_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended, or how its stream began: the first response, if there was one."""

    code: grpc.StatusCode
    response: bytes | None = None
    failure: grpc.aio.AioRpcError | None = None

    @property
    def error(self) -> MusterError | None:
        """Return what the failure says of itself; None when it succeeded, or said nothing of the kind."""
        return received(self.failure) if self.failure is not None else None

    @property
    def is_refused(self) -> bool:
        """Whether the caller was told that they may not."""
        return self.code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}

    def __str__(self) -> str:
        error = self.error
        return f"{self.code.name}/{error.reason}" if error else self.code.name


async def ask(channel: Any, method: MethodDescriptor, request: bytes, metadata: Metadata = ()) -> Outcome:
    """Call the method with these bytes; of a stream of responses the first is taken."""
    while True:
        outcome = await _ask(channel, method, request, metadata)
        if not _broke_off_by_itself(outcome.failure):
            return outcome


async def _ask(channel: Any, method: MethodDescriptor, request: bytes, metadata: Metadata) -> Outcome:
    call, options = _callable(channel, method), {"metadata": metadata, "timeout": _SECONDS}
    outgoing = iter([request]) if method.client_streaming else request
    try:
        if not method.server_streaming:
            return Outcome(grpc.StatusCode.OK, await call(outgoing, **options))
        stream = call(outgoing, **options)
        async for response in stream:
            stream.cancel()
            return Outcome(grpc.StatusCode.OK, response)
        return Outcome(await stream.code())
    except grpc.aio.AioRpcError as failure:
        return Outcome(failure.code(), failure=failure)


def _callable(channel: Any, method: MethodDescriptor) -> Any:
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    return kinds[method.client_streaming, method.server_streaming](f"/{name(method)}")


def _broke_off_by_itself(failure: grpc.aio.AioRpcError | None) -> bool:
    """Tell whether the client's library gave up: the server ended the call before the request was sent.

    What the server said is lost then.
    """
    return failure is not None and "execute_batch" in str(failure.debug_error_string())
