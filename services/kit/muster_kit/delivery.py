"""Seals on deliveries: who was handed which question when, in bytes that only the house can make."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from secrets import token_hex
from typing import Final, Self

from muster_kit.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_BODY: Final = struct.Struct(">QI")
_TAG_BYTES: Final = 16
_SIZE: Final = _BODY.size + _TAG_BYTES

# What stands for a round trip that nobody has measured; a longer one than fits counts as the longest.
_UNMEASURED: Final = 2**32 - 1
_LONGEST: Final = _UNMEASURED - 1

_PURPOSE: Final = b"muster.delivery"
"""Keeps the key, and what is sealed with it, apart from whatever else is made of the same secret."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """To whom something was delivered: a seat in a session, and the round of the question."""

    session_id: str
    participant_id: str
    round_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """When a stream was handed a question, by the server's clock, and the least round trip known by then."""

    time: datetime
    round_trip: timedelta | None = None


class DeliverySeal:
    """Seals deliveries with a key that every service makes of the secret they share.

    What is sealed for one addressee means nothing for any other. The bytes hold no secret and no
    name; a client can keep and return them, and nothing else.
    """

    def __init__(self, secret: str) -> None:
        self._key = blake2b(secret.encode(), person=_PURPOSE, digest_size=32).digest()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the secret that services share; without one, nobody else can read what is sealed."""
        shared = settings.service_token_secret
        return cls(shared.get_secret_value() if shared else token_hex())

    def seal(self, to: Addressee, delivery: Delivery) -> bytes:
        """Return 28 bytes that say it; times are kept to the microsecond."""
        trip = delivery.round_trip
        body = _BODY.pack(
            (delivery.time - _EPOCH) // _MICROSECOND,
            _UNMEASURED if trip is None else min(trip // _MICROSECOND, _LONGEST),
        )
        return body + self._tag(to, body)

    def read(self, to: Addressee, sealed: bytes) -> Delivery | None:
        """Return what was sealed for this very addressee; None for anything else."""
        if len(sealed) != _SIZE:
            return None
        body = sealed[: _BODY.size]
        if not compare_digest(self._tag(to, body), sealed[_BODY.size :]):
            return None
        time, trip = _BODY.unpack(body)
        return Delivery(_EPOCH + time * _MICROSECOND, None if trip == _UNMEASURED else trip * _MICROSECOND)

    def _tag(self, to: Addressee, body: bytes) -> bytes:
        # The body has one length, and no id holds a NUL: nothing else reads the same.
        message = body + f"{to.session_id}\0{to.participant_id}\0{to.round_id}".encode()
        return blake2b(message, key=self._key, person=_PURPOSE, digest_size=_TAG_BYTES).digest()
