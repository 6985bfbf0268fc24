"""Same `request_id`, same answer: what is asked of the table of requests, and what was answered."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import Message

from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import MusterError, Reason, Violation

_MAX_CHARACTERS: Final = 128

Key = tuple[str, str]
"""Caller and request id."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that must have its effect once: whose it is, and what it asks for."""

    caller_id: str
    request_id: str
    method: str
    fingerprint: bytes

    @property
    def key(self) -> Key:
        """What no two different requests may share."""
        return (self.caller_id, self.request_id)


class StoredAnswer(Protocol):
    """A row of the table of requests."""

    caller_id: str
    request_id: str
    fingerprint: bytes
    response: bytes | None


def claim_of(caller: Caller, request: Message, *, room_id: str = "") -> Claim | None:
    """Return the request's claim; None when it has no `request_id` and so promises nothing.

    `room_id` counts as part of the request, for rooms that are named by the caller's ticket alone.
    Raises INVALID_FIELD for an id that the table cannot hold.
    """
    request_id: str = getattr(request, "request_id", "")
    if not request_id:
        return None
    # It is stored along with other callers' ids: what PostgreSQL refuses would fail them as well.
    if len(request_id) > _MAX_CHARACTERS or "\0" in request_id:
        rule = f"must have at most {_MAX_CHARACTERS} characters, none of them NUL"
        raise MusterError(Reason.INVALID_FIELD, violations=[Violation("request_id", rule)])
    method = request.DESCRIPTOR.full_name
    digest = hashlib.sha256(f"{method}\0{room_id}\0".encode())
    digest.update(request.SerializeToString(deterministic=True))
    return Claim(_caller_id(caller), request_id, method, digest.digest())


def _caller_id(caller: Caller) -> str:
    # A ticket holder is the user who joined: a retry may come with the one token or the other.
    kind = CallerKind.USER if caller.is_ticket else caller.kind
    return f"{kind}:{caller.subject}"


class Answers:
    """What is known of the claims of one transaction: answers found, and answers given in it."""

    def __init__(self, claims: Iterable[Claim | None]) -> None:
        self._claims: dict[Key, Claim] = {}
        for claim in claims:
            if claim is not None:
                self._claims.setdefault(claim.key, claim)
        self._answers: dict[Key, tuple[bytes, bytes]] = {}
        self._given: list[tuple[Claim, bytes]] = []

    @property
    def claimed(self) -> dict[str, object]:
        """The claims as parameters of a statement, one a key."""
        return _columns("claim", self._claims.values(), ("caller_id", "request_id", "method", "fingerprint"))

    def found(self, row: StoredAnswer) -> None:
        """Take in a row; one without a response was claimed just now, for this transaction."""
        if row.response is not None:
            self._answers[row.caller_id, row.request_id] = (row.fingerprint, row.response)

    def of(self, claim: Claim | None) -> bytes | None:
        """Return the stored answer; None when there is none. Raises REQUEST_ID_REUSED."""
        if claim is None or (answer := self._answers.get(claim.key)) is None:
            return None
        fingerprint, response = answer
        if fingerprint != claim.fingerprint:
            raise MusterError(Reason.REQUEST_ID_REUSED)
        return response

    def give(self, claim: Claim, response: bytes) -> None:
        """Answer a claim, for whoever repeats it from now on."""
        self._answers[claim.key] = (claim.fingerprint, response)
        self._given.append((claim, response))

    @property
    def answered(self) -> dict[str, object]:
        """The answers given, as parameters of a statement."""
        names = ("caller_id", "request_id", "method", "fingerprint")
        columns = _columns("answer", [claim for claim, _ in self._given], names)
        return columns | {"answer_response": [response for _, response in self._given]}

    @property
    def abandoned(self) -> Sequence[Claim]:
        """The claims whose commands failed: a repetition must find nothing, and run."""
        return [claim for key, claim in self._claims.items() if key not in self._answers]


def _columns(rows: str, claims: Iterable[Claim], names: Sequence[str]) -> dict[str, object]:
    claims = list(claims)
    return {f"{rows}_{name}": [getattr(claim, name) for claim in claims] for name in names}
