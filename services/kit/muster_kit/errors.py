"""Every way a call can fail: its reason, its status code and the one sentence the public gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Code(StrEnum):
    """The gRPC status codes a failed call can have, by name, so that nothing here needs grpc."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class Reason(StrEnum):
    """`muster.error.v1.ErrorReason` without its prefix; the contract says what each one means."""

    INVALID_FIELD = "INVALID_FIELD"
    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    QUESTION_FILE_FAULTY = "QUESTION_FILE_FAULTY"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"  # noqa: S105 - a reason, not a secret
    ANSWER_MISMATCH = "ANSWER_MISMATCH"

    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a reason, not a secret
    TICKET_REVOKED = "TICKET_REVOKED"
    PERMISSION_DENIED = "PERMISSION_DENIED"

    NOT_FOUND = "NOT_FOUND"
    JOIN_REFUSED = "JOIN_REFUSED"
    ALREADY_EXISTS = "ALREADY_EXISTS"

    SESSION_STATUS = "SESSION_STATUS"
    BLOCK_STATUS = "BLOCK_STATUS"
    BLOCK_BUSY = "BLOCK_BUSY"
    SESSION_FULL = "SESSION_FULL"
    LATE_JOIN = "LATE_JOIN"
    BANNED = "BANNED"
    ROUND_CLOSED = "ROUND_CLOSED"
    ALREADY_ANSWERED = "ALREADY_ANSWERED"
    PARTICIPANT_STATUS = "PARTICIPANT_STATUS"
    BOARD_CLOSED = "BOARD_CLOSED"
    CLASS_STATUS = "CLASS_STATUS"

    REVISION_STALE = "REVISION_STALE"

    RATE_LIMITED = "RATE_LIMITED"
    TOO_LARGE = "TOO_LARGE"

    UNAVAILABLE = "UNAVAILABLE"
    DRAINING = "DRAINING"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the public learns about a reason: how to react, and one constant sentence."""

    code: Code
    message: str


CATALOG: Final[Mapping[Reason, Entry]] = MappingProxyType(
    {
        Reason.INVALID_FIELD: Entry(Code.INVALID_ARGUMENT, "A field of the request breaks a rule."),
        Reason.MALFORMED_REQUEST: Entry(
            Code.INVALID_ARGUMENT, "The request could not be read as this method's message."
        ),
        Reason.REQUEST_ID_REUSED: Entry(
            Code.INVALID_ARGUMENT, "This request_id was used before with another request."
        ),
        Reason.QUESTION_FILE_FAULTY: Entry(
            Code.INVALID_ARGUMENT, "The question file has faults; nothing was imported."
        ),
        Reason.PAGE_TOKEN_INVALID: Entry(Code.INVALID_ARGUMENT, "The page token is not one of this list."),
        Reason.ANSWER_MISMATCH: Entry(
            Code.INVALID_ARGUMENT, "The answer does not fit the kind or the choices of the block."
        ),
        Reason.TOKEN_INVALID: Entry(
            Code.UNAUTHENTICATED, "A valid token is needed; this one is missing, expired or not accepted."
        ),
        Reason.TICKET_REVOKED: Entry(Code.UNAUTHENTICATED, "The ticket was withdrawn."),
        Reason.PERMISSION_DENIED: Entry(Code.PERMISSION_DENIED, "The caller may not do this."),
        Reason.NOT_FOUND: Entry(Code.NOT_FOUND, "There is no such thing, or the caller may not see it."),
        Reason.JOIN_REFUSED: Entry(Code.NOT_FOUND, "The code or the key is wrong."),
        Reason.ALREADY_EXISTS: Entry(Code.ALREADY_EXISTS, "Something with this id or name exists."),
        Reason.SESSION_STATUS: Entry(
            Code.FAILED_PRECONDITION, "The status of the session does not allow this."
        ),
        Reason.BLOCK_STATUS: Entry(Code.FAILED_PRECONDITION, "The status of the block does not allow this."),
        Reason.BLOCK_BUSY: Entry(
            Code.FAILED_PRECONDITION, "Another block is active, or is being opened or closed."
        ),
        Reason.SESSION_FULL: Entry(Code.FAILED_PRECONDITION, "The session is full."),
        Reason.LATE_JOIN: Entry(
            Code.FAILED_PRECONDITION, "The session has started and takes no late participants."
        ),
        Reason.BANNED: Entry(Code.FAILED_PRECONDITION, "The user is banned from the session."),
        Reason.ROUND_CLOSED: Entry(Code.FAILED_PRECONDITION, "The round takes no answers now."),
        Reason.ALREADY_ANSWERED: Entry(
            Code.FAILED_PRECONDITION, "The participant has already answered this round."
        ),
        Reason.PARTICIPANT_STATUS: Entry(
            Code.FAILED_PRECONDITION, "The participant has left or was removed."
        ),
        Reason.BOARD_CLOSED: Entry(Code.FAILED_PRECONDITION, "The board takes no scores now."),
        Reason.CLASS_STATUS: Entry(Code.FAILED_PRECONDITION, "The status of the class does not allow this."),
        Reason.REVISION_STALE: Entry(
            Code.ABORTED, "It has changed since it was read; read it again and retry."
        ),
        Reason.RATE_LIMITED: Entry(Code.RESOURCE_EXHAUSTED, "Too many calls; come back later."),
        Reason.TOO_LARGE: Entry(Code.RESOURCE_EXHAUSTED, "A message, list or stream is larger than allowed."),
        Reason.UNAVAILABLE: Entry(Code.UNAVAILABLE, "Away for a moment; try again."),
        Reason.DRAINING: Entry(Code.UNAVAILABLE, "This worker is going away; reconnect."),
        Reason.DEADLINE_EXCEEDED: Entry(
            Code.DEADLINE_EXCEEDED, "The deadline of the call passed before it was done."
        ),
        Reason.UNIMPLEMENTED: Entry(Code.UNIMPLEMENTED, "This release does not have the method."),
        Reason.INTERNAL: Entry(
            Code.INTERNAL, "A fault of the server; quote the call id when asking about it."
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule; `field` is its path in the request, such as `blocks[2].title`."""

    field: str
    description: str


class MusterError(Exception):
    """The one exception that tells a caller why a call failed.

    `violations` and `retry_after` are sent, as BadRequest and RetryInfo; `detail` is for the log and
    is never sent.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)
