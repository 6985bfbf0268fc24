"""Things that no client sends: random messages, damaged bytes, and calls damaged as HTTP/2."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.chaos.http2 import Frame, Kind
from tests.e2e.extreme_values import extreme_values
from tests.e2e.requests_from_descriptors import Requests, assign, fill

_DEEP: Final = 4
_MANY: Final = 300
_HUGE: Final = (b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x07", b"\x80" * 10, b"\xff" * 16)
"""Numbers of protobuf that are the largest, larger than a message may be, or none."""


def random_message(rng: random.Random, requests: Requests, descriptor: Descriptor, depth: int = 0) -> Any:
    """Return the smallest valid message with some of its fields replaced by anything of their type."""
    message = requests.minimal(descriptor)
    for field in descriptor.fields:
        if rng.random() < 0.3:
            _replace(rng, requests, message, field, depth)
    return message


def _replace(
    rng: random.Random, requests: Requests, message: Message, field: FieldDescriptor, depth: int
) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return
    if values := extreme_values(field):
        make: Callable[[], Any] = lambda: rng.choice(values)  # noqa: E731 - one of two
    elif kind is not None and depth < _DEEP:
        make = lambda: random_message(rng, requests, kind, depth + 1)  # noqa: E731 - the other
    else:
        message.ClearField(field.name)
        return
    if field.is_repeated:
        count = _MANY if depth == 0 and rng.random() < 0.05 else rng.randrange(4)
        fill(message, field.name, [make() for _ in range(count)])
    else:
        assign(message, field.name, make())


def damaged(rng: random.Random, valid: bytes, other: bytes) -> bytes:
    """Return bytes with some damage: flipped, cut off, spliced with `other`, or of impossible lengths."""
    data = bytearray(valid)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(data) + 1)
        end = rng.randrange(start, len(data) + 1)
        damage = rng.randrange(7)
        if damage == 0 and data:
            data[start % len(data)] ^= 1 << rng.randrange(8)
        elif damage == 1:
            del data[start:]
        elif damage == 2:
            data[start:] = other[rng.randrange(len(other) + 1) :]
        elif damage == 3:
            data[start:start] = data[start:end] * rng.choice((1, 2, 50))
        elif damage == 4:
            data[start : start + 1] = rng.choice(_HUGE)
        elif damage == 5:
            data[start:end] = rng.randbytes(end - start)
        else:
            # Messages in messages, or groups in groups, deeper than anyone reads.
            data[start:start] = rng.choice((b"\x0b", b"\x0a\x7f", b"\x12\x02")) * 200
    return bytes(data)


def damaged_call(rng: random.Random, frames: Sequence[Frame]) -> bytes:
    """Return the bytes of a call in which frames are missing, doubled, of other kinds, or damaged."""
    changed = list(frames)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        changed[place:place] = [_odd_frame(rng)] * rng.choice((1, 1, 1, 20))
        one = rng.randrange(len(changed))
        changed[one] = _changed(rng, changed[one])
        if rng.random() < 0.2:
            del changed[rng.randrange(len(changed))]
    data = b"".join(map(bytes, changed))
    return damaged(rng, data, data) if rng.random() < 0.5 else data


def _odd_frame(rng: random.Random) -> Frame:
    number = rng.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(4, "big")
    return rng.choice(
        (
            Frame(Kind.WINDOW_UPDATE, 0, rng.choice((0, 1)), number),
            Frame(Kind.SETTINGS, 0, 0, rng.randrange(8).to_bytes(2, "big") + number),
            Frame(Kind.SETTINGS, 0, 0, rng.randbytes(rng.randrange(12))),
            Frame(Kind.RST_STREAM, 0, 1, number),
            Frame(Kind.PING, 0, 0, rng.randbytes(8)),
            Frame(Kind.PUSH_PROMISE, 4, 1, rng.randbytes(12)),
            Frame(Kind.CONTINUATION, 0, 1, rng.randbytes(100)),
            Frame(Kind.HEADERS, rng.randrange(256), 3, rng.randbytes(rng.randrange(200))),
            Frame(Kind.GOAWAY, 0, 0, rng.randbytes(8)),
            Frame(rng.randrange(256), rng.randrange(256), rng.randrange(2**32), rng.randbytes(20)),
        )
    )


def _changed(rng: random.Random, frame: Frame) -> Frame:
    return rng.choice(
        (
            replace(frame, kind=rng.randrange(12)),
            replace(frame, flags=rng.randrange(256)),
            replace(frame, stream=rng.choice((0, 2, 3, 2**31 - 1, 2**32 - 1))),
            # The length and the flag of compression of a message are in here.
            replace(frame, payload=damaged(rng, frame.payload, frame.payload)),
            replace(frame, payload=rng.choice((b"\1", b"\0\xff\xff\xff\xff")) + frame.payload[1:]),
        )
    )
