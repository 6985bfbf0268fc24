"""The one funnel from whatever failed to what the client is told, and back again for our own clients."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc
import redis.exceptions
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from muster_kit.errors import CATALOG, MusterError, Reason, Violation

DOMAIN: Final = "muster"
DETAILS_KEY: Final = "grpc-status-details-bin"
CALL_ID_KEY: Final = "muster-call-id"

# Clients refuse trailers of more than 8 KiB, and base64 adds a third: with more, they would see
# RESOURCE_EXHAUSTED in place of the failure.
_DETAILS_LIMIT: Final = 4096
_TEXT_LIMIT: Final = 200

_RETRY_AFTER: Final = timedelta(seconds=1)
_AWAY: Final = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
_AWAY_CODES: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class WireStatus:
    """How a failed call ends."""

    code: grpc.StatusCode
    message: str
    trailers: Metadata


def explain(error: BaseException) -> MusterError:
    """Return what may be said about a failure: everything nobody foresaw is INTERNAL, without a word more."""
    if isinstance(error, MusterError):
        return error
    if isinstance(error, BaseExceptionGroup):
        explained = [explain(cause) for cause in error.exceptions]
        return next((cause for cause in explained if cause.reason is Reason.INTERNAL), explained[0])
    if isinstance(error, _AWAY):
        return MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=f"redis: {error}")
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in _AWAY_CODES:
        return MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=str(error.details()))
    return MusterError(Reason.INTERNAL, detail=repr(error))


def wire_status(error: MusterError, *, call_id: str = "") -> WireStatus:
    """Return the status, message and trailers that tell a client of the error, with `call_id` if given."""
    bare = not error.violations and error.retry_after is None
    status = _BARE[error.reason] if bare else _with_details(error)
    if not call_id:
        return status
    return WireStatus(status.code, status.message, (*status.trailers, (CALL_ID_KEY, call_id)))


def received(error: grpc.aio.AioRpcError) -> MusterError | None:
    """Return the MusterError another service ended a call with; None when it said nothing of the kind."""
    trailers: Any = error.trailing_metadata() or ()
    packed = next((value for key, value in trailers if key == DETAILS_KEY), None)
    if not isinstance(packed, bytes):
        return None
    reason: Reason | None = None
    violations: list[Violation] = []
    retry_after: timedelta | None = None
    for detail in status_pb2.Status.FromString(packed).details:
        if (info := _unpack(detail, error_details_pb2.ErrorInfo)) and info.domain == DOMAIN:
            reason = Reason.__members__.get(info.reason)
        elif request := _unpack(detail, error_details_pb2.BadRequest):
            violations = [Violation(found.field, found.description) for found in request.field_violations]
        elif retry := _unpack(detail, error_details_pb2.RetryInfo):
            retry_after = retry.retry_delay.ToTimedelta()
    return MusterError(reason, violations=violations, retry_after=retry_after) if reason else None


def _with_details(error: MusterError) -> WireStatus:
    status = _status(error.reason)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        status.details.add().Pack(retry)
    if error.violations:
        request = _bad_request(error.violations, _DETAILS_LIMIT - status.ByteSize())
        status.details.add().Pack(request)
    return _packed(error.reason, status)


def _bad_request(violations: tuple[Violation, ...], size_limit: int) -> Any:
    request = error_details_pb2.BadRequest()
    size = 0
    for count, violation in enumerate(violations):
        found = error_details_pb2.BadRequest.FieldViolation(
            field=violation.field[:_TEXT_LIMIT], description=violation.description[:_TEXT_LIMIT]
        )
        size += found.ByteSize() + 3
        if size > size_limit:
            request.field_violations.add(description=f"And {len(violations) - count} more.")
            break
        request.field_violations.append(found)
    return request


def _status(reason: Reason) -> Any:
    entry = CATALOG[reason]
    status = status_pb2.Status(code=code_pb2.Code.Value(entry.code), message=entry.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason.value, domain=DOMAIN))
    return status


def _packed(reason: Reason, status: Message) -> WireStatus:
    entry = CATALOG[reason]
    return WireStatus(
        grpc.StatusCode[entry.code], entry.message, ((DETAILS_KEY, status.SerializeToString()),)
    )


def _unpack(detail: Any, kind: Any) -> Any:
    message = kind()
    return message if detail.Unpack(message) else None


_BARE: Final = {reason: _packed(reason, _status(reason)) for reason in Reason}
