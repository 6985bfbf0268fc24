"""The order of a board, as bytes that sort the same in Redis, in Python and in PostgreSQL."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from muster_scoring.model import MILLISECOND, Standing

_ORDER: Final = struct.Struct(">QQQ")
_LARGEST: Final = (1 << 63) - 1
"""Of the numbers that PostgreSQL, too, has 64 bits for; the smallest is one further from 0."""

REMOVED: Final = b"removed"
"""What travels in the place of changes when there is no such board any more."""

# How changes travel: first and last seq; then for each line its version, and the sizes of its order, its id
# and its entry. Scripts in Redis read it too.
_CHANGES: Final = struct.Struct(">QQ")
_LINE: Final = struct.Struct(">QBHI")


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands among the others; smaller is better.

    Higher score first, then shorter total time, then who reached the score first, then the id. Where
    lower scores are better, `score` has all bits of the score turned over (`~`), which no score is too
    large for.
    """

    score: int
    duration_ms: int
    reached_seq: int
    entry_id: str

    def encode(self) -> bytes:
        """Return bytes that compare like positions: fixed-width big-endian numbers do."""
        return place_of(self.score, self.duration_ms, self.reached_seq, self.entry_id)

    @classmethod
    def decode(cls, place: bytes) -> "Position":
        """Return the position that `encode` made bytes of; ValueError when it did not."""
        if len(place) <= _ORDER.size:
            raise ValueError("too short")
        score_order, duration_ms, reached_seq = _ORDER.unpack_from(place)
        score = _LARGEST - score_order
        if max(duration_ms, reached_seq) > _LARGEST:
            raise ValueError("out of bounds")
        entry_id = place[_ORDER.size :].decode()
        if "\0" in entry_id:
            raise ValueError("no id")
        return cls(score, duration_ms, reached_seq, entry_id)


def place_of(score: int, duration_ms: int, reached_seq: int, entry_id: str) -> bytes:
    """Return what `Position.encode` does, without making one."""
    return _ORDER.pack(_LARGEST - score, duration_ms, reached_seq) + entry_id.encode()


def position_of(standing: Standing) -> Position:
    """Return where a standing belongs, by what is shown of it."""
    return Position(
        standing.score - standing.held_score,
        (standing.duration - standing.held_duration) // MILLISECOND,
        standing.reached_seq,
        standing.participant_id,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a board at its `version`; `place` is empty when it is not, or no longer, on the board.

    `packed` is the entry as the contract's message, without its rank.
    """

    entry_id: str
    version: int
    place: bytes
    packed: bytes

    @property
    def order(self) -> bytes:
        """The part of the place before the id."""
        return self.place[: _ORDER.size]


def floor_line(seq: int) -> Line:
    """Return the line that is no entry: a board began anew, and nothing of `seq` or before is on it any more.

    It is told apart by its id, which is empty, as no entry's is.
    """
    return Line("", seq, b"", b"")


@dataclass(frozen=True, slots=True)
class BoardChanges:
    """The lines that all changes of a board after `first_seq` up to `last_seq` left."""

    board_id: str
    first_seq: int
    last_seq: int
    lines: tuple[Line, ...]

    def encode(self) -> bytes:
        """Return the bytes that go from process to process."""
        return _CHANGES.pack(self.first_seq, self.last_seq) + encode_lines(self.lines)

    @classmethod
    def decode(cls, board_id: str, data: bytes) -> "BoardChanges":
        """Return what `encode` made bytes of."""
        first_seq, last_seq = _CHANGES.unpack_from(data)
        lines: list[Line] = []
        at = _CHANGES.size
        while at < len(data):
            version, order_size, id_size, packed_size = _LINE.unpack_from(data, at)
            at += _LINE.size
            entry_id = data[at : at + id_size]
            order = data[at + id_size : at + id_size + order_size]
            at += id_size + order_size
            place = order + entry_id if order else b""
            lines.append(Line(entry_id.decode(), version, place, data[at : at + packed_size]))
            at += packed_size
        return cls(board_id, first_seq, last_seq, tuple(lines))


def encode_lines(lines: Iterable[Line]) -> bytes:
    """Return lines as they travel."""
    parts: list[bytes] = []
    for line in lines:
        entry_id, order = line.entry_id.encode(), line.order
        sizes = _LINE.pack(line.version, len(order), len(entry_id), len(line.packed))
        parts += (sizes, entry_id, order, line.packed)
    return b"".join(parts)
