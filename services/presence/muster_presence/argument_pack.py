"""Many values as one argument of a script, in MessagePack: the client packs a call's arguments one by one."""

from collections.abc import Iterable
from typing import Final

# Headers of texts of at most 255 bytes, by length.
_SHORT: Final = [bytes((0xD9, size)) for size in range(256)]
_LONG: Final = b"\xdb"
_ARRAY: Final = b"\xdd"


def pack(values: Iterable[str | bytes]) -> bytes:
    """Return an array of texts, as `cmsgpack.unpack` reads it."""
    parts = [b""]
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        size = len(data)
        parts.append(_SHORT[size] if size < 256 else _LONG + size.to_bytes(4, "big"))
        parts.append(data)
    parts[0] = _ARRAY + (len(parts) // 2).to_bytes(4, "big")
    return b"".join(parts)
