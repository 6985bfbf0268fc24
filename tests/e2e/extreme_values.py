"""Requests with one value that is as unlikely as its type allows, made from the descriptors."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.contracts import is_map
from tests.e2e.requests_from_descriptors import Requests, assign, fill

# The years 1 and 9999 end what a Timestamp may be.
_SECONDS: Final = (
    -(2**63),
    -62_135_596_801,
    -62_135_596_800,
    -1,
    253_402_300_799,
    253_402_300_800,
    2**63 - 1,
)
_NANOS: Final = (-(2**31), -1, 1_000_000_000, 2**31 - 1)
# NUL, which PostgreSQL cannot hold; what Unicode has beyond its first plane, or not at all; SQL, LIKE,
# format and path; a number that is none.
_TEXTS: Final = ("\0", "a\0b", "\U0001f600\u202e\ufeff", "\uffff", "\\';--", "%_%s{0}", "../..", "NaN")

_VALUES: Final[dict[int, tuple[Any, ...]]] = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: (b"\0", b"\xff" * 32),
    FieldDescriptor.TYPE_ENUM: (-1, 0, 2**31 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 0, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 0, 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**31, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**63, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.8e308),
}
_TIMES: Final = [(seconds, 0) for seconds in _SECONDS] + [(0, nanos) for nanos in _NANOS]


def extremes(requests: Requests, descriptor: Descriptor) -> Iterator[tuple[str, Message]]:
    """Yield requests, each with the path and the value in which it is extreme."""
    for place in requests.places(descriptor):
        field = place.what
        if isinstance(field, FieldDescriptor) and not is_map(field):
            for value in extreme_values(field):
                change = (
                    partial(fill, name=field.name, values=[value])
                    if field.is_repeated
                    else partial(assign, name=field.name, value=value)
                )
                yield f"{place.path} = {value!r}", place.changed(change)


def extreme_values(field: FieldDescriptor) -> tuple[Any, ...]:
    """Return the values of a field that are as unlikely as its type allows; none of our messages."""
    if field.message_type in (Timestamp.DESCRIPTOR, Duration.DESCRIPTOR):
        kind = Timestamp if field.message_type is Timestamp.DESCRIPTOR else Duration
        return tuple(kind(seconds=seconds, nanos=nanos) for seconds, nanos in _TIMES)
    return _VALUES.get(field.type, ())
