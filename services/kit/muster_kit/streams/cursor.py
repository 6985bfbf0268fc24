"""The opaque position that a client sends to go on where it was."""

import struct
from dataclasses import dataclass

_WIRE = struct.Struct(">BQQ")
_VERSION = 1
_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one room's log: everything up to and with `seq` has been delivered.

    `epoch` is drawn at random for every log, so a cursor of another room or of a replaced log is
    recognized by it. Both are what PostgreSQL's bigint holds, and never negative.
    """

    epoch: int
    seq: int

    def encode(self) -> bytes:
        """Return the bytes a client keeps."""
        return _WIRE.pack(_VERSION, self.epoch, self.seq)

    @classmethod
    def decode(cls, data: bytes) -> "Cursor | None":
        """Return the cursor, or None when `data` is not one that `encode` makes."""
        if len(data) != _WIRE.size:
            return None
        version, epoch, seq = _WIRE.unpack(data)
        if version != _VERSION or epoch > _MAX or seq > _MAX:
            return None
        return cls(epoch, seq)
