"""Composes messages with board entries from lines that were serialized once.

An entry is stored without its rank, which changes with every other entry. Concatenated protobuf
messages merge, so the rank is appended when somebody looks.
"""

from collections.abc import Iterable
from typing import Final

from muster.scoring.v1 import board_pb2

from muster_scoring.model_board import Line

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2


def varint(value: int) -> bytes:
    """Return a number that is not negative in protobuf's variable length."""
    if value < 0x80:
        return _ONE_BYTE[value]
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def field_tag(number: int, wire_type: int = _LENGTH_DELIMITED) -> bytes:
    """Return what begins a field of a message; by default one that holds a message."""
    return varint(number << 3 | wire_type)


def message_field(tag: bytes, packed: bytes) -> bytes:
    """Return a message as a field of another one."""
    return tag + varint(len(packed)) + packed


def entry_field(tag: bytes, packed: bytes, rank: int) -> bytes:
    """Return an entry as a field of another message, with its rank."""
    return message_field(tag, packed + _RANK + varint(rank))


def entry_fields(tag: bytes, lines: Iterable[Line], *, first_rank: int) -> bytes:
    """Return consecutive entries as a repeated field."""
    return b"".join(entry_field(tag, line.packed, rank) for rank, line in enumerate(lines, start=first_rank))


_ONE_BYTE: Final = [bytes((value,)) for value in range(0x80)]
_RANK: Final = field_tag(board_pb2.BoardEntry.RANK_FIELD_NUMBER, _VARINT)
