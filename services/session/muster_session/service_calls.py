"""Calls of other services: what their failures mean for who made them."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Final, TypeVar

import grpc
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.status import received

from muster_session.store_scoring import RefusedError

T = TypeVar("T")

# After these nothing was done, and asking again gives the same answer.
_DEFINITE: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# These are about what services think of each other, and not for the ears of who called us.
_OURS: Final = frozenset({Reason.TOKEN_INVALID, Reason.PERMISSION_DENIED, Reason.UNIMPLEMENTED})

_RETRY_AFTER: Final = timedelta(seconds=1)


async def asked(call: Awaitable[T], *, service: str) -> T:
    """Return what a service answers.

    RefusedError when it definitely did not do it and never will, UNAVAILABLE when nobody knows.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise _fault(error, service) from error


def _fault(error: grpc.aio.AioRpcError, service: str) -> MusterError:
    detail = f"{service}: {error.code().name} {error.details()}"
    if error.code() not in _DEFINITE:
        return MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=detail)
    told = received(error)
    if told is None or told.reason in _OURS:
        return RefusedError(Reason.INTERNAL, detail=detail)
    return RefusedError(told.reason, detail=f"{detail} {told.reason}")
