"""Page tokens: where the next page begins, good for the very list that gave them."""

import base64
import hashlib
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from muster_kit.errors import MusterError, Reason

T = TypeVar("T")

DEFAULT_PAGE_SIZE: Final = 50

_LIST_BYTES: Final = 6
_NUMBER: Final = struct.Struct(">Q")
_TIME: Final = struct.Struct(">q")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What Python takes as a time.
_LARGEST_TIME: Final = 2**55

LARGEST_INTEGER: Final = 2**31 - 1
"""What PostgreSQL takes as an `integer`."""
LARGEST_BIGINT: Final = 2**63 - 1
"""What PostgreSQL takes as a `bigint`."""


class Pages:
    """The pages of one list; `scope` are all parameters of the request but those of the page.

    A token is opaque to clients and no secret: whatever comes back may have been made up.
    """

    def __init__(self, *scope: object, page_size: int = 0) -> None:
        """`scope` goes by its `repr`, which must be the same in every process."""
        self.size = page_size or DEFAULT_PAGE_SIZE
        self._list = hashlib.sha256(repr(scope).encode()).digest()[:_LIST_BYTES]

    @property
    def limit(self) -> int:
        """Return how many rows to read: one more than are shown, to know whether that was all."""
        return self.size + 1

    def cut(self, rows: Sequence[T]) -> tuple[Sequence[T], T | None]:
        """Return the rows to show of those that were read, and the last of them when there are more."""
        shown = rows[: self.size]
        return shown, shown[-1] if len(rows) > self.size else None

    def token(self, *key: bytes | int | str | datetime) -> str:
        """Return the token of the page behind the row with this key; a text ends it."""
        data = self._list + b"".join(map(_packed, key))
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    def after(self, token: str, decode: Callable[[bytes], T]) -> T | None:
        """Return what `decode` makes of the key, None for the first page.

        Raises PAGE_TOKEN_INVALID for what is no token, for one of another list, and when `decode`
        raises ValueError.
        """
        if not token:
            return None
        try:
            return decode(self._key(token))
        except ValueError as error:
            raise MusterError(Reason.PAGE_TOKEN_INVALID, detail=str(error)) from error

    def number(self, token: str, *, largest: int = LARGEST_INTEGER) -> int:
        """Return the key of a list that goes by a number up to `largest`; 0 for the first page."""

        def decode(data: bytes) -> int:
            if len(data) != _NUMBER.size:
                raise ValueError("not a number")
            number: int = _NUMBER.unpack(data)[0]
            if number > largest:
                raise ValueError("out of bounds")
            return number

        return self.after(token, decode) or 0

    def time_and_id(self, token: str) -> tuple[datetime, str] | None:
        """Return the key of a list that goes by time and id; None for the first page."""
        return self.after(token, _time_and_id)

    def text_and_id(self, token: str) -> tuple[str, str] | None:
        """Return the key of a list that goes by a text and an id, put together with NUL between them.

        None for the first page.
        """
        return self.after(token, _text_and_id)

    def _key(self, token: str) -> bytes:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if data[:_LIST_BYTES] != self._list:
            raise ValueError("of another list")
        return data[_LIST_BYTES:]


def _packed(part: bytes | int | str | datetime) -> bytes:
    match part:
        case bytes():
            return part
        case int():
            return _NUMBER.pack(part)
        case str():
            return part.encode()
        case datetime():
            return _TIME.pack((part - _EPOCH) // _MICROSECOND)


def _time_and_id(data: bytes) -> tuple[datetime, str]:
    if len(data) < _TIME.size:
        raise ValueError("not a time")
    (microseconds,) = _TIME.unpack_from(data)
    row_id = data[_TIME.size :].decode()
    if abs(microseconds) > _LARGEST_TIME or "\0" in row_id:
        raise ValueError("out of bounds")
    return _EPOCH + timedelta(microseconds=microseconds), row_id


def _text_and_id(data: bytes) -> tuple[str, str]:
    text, separator, row_id = data.decode().partition("\0")
    if not separator or "\0" in row_id:
        raise ValueError("not a text and an id")
    return text, row_id
