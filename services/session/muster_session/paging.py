"""Page tokens: where the next page begins, good for the very list that gave them."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from muster_kit.errors import MusterError, Reason

DEFAULT_PAGE_SIZE: Final = 50

_DIGEST_LENGTH: Final = 12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What PostgreSQL takes as an integer, and Python as a time.
_LARGEST: Final = 2**31 - 1
_LARGEST_TIME: Final = 2**55


class Pages:
    """The pages of one list; `scope` are all parameters of the request but those of the page."""

    def __init__(self, *scope: object, page_size: int) -> None:
        self.size = page_size or DEFAULT_PAGE_SIZE
        self._digest = hashlib.sha256(repr(scope).encode()).hexdigest()[:_DIGEST_LENGTH]

    @property
    def limit(self) -> int:
        """Return how many rows to read: one more than are shown, to know whether that was all."""
        return self.size + 1

    def token(self, *key: str | int | datetime) -> str:
        """Return the token of the page behind the row with this key."""
        key = tuple((part - _EPOCH) // _MICROSECOND if isinstance(part, datetime) else part for part in key)
        return base64.urlsafe_b64encode(json.dumps([self._digest, *key]).encode()).decode().rstrip("=")

    def number(self, token: str) -> int:
        """Return the key of a list that goes by a number; 0 for the first page."""
        if not token:
            return 0
        match self._key(token):
            case [int(number)] if 0 <= number <= _LARGEST:
                return number
        raise MusterError(Reason.PAGE_TOKEN_INVALID)

    def time_and_id(self, token: str) -> tuple[datetime, str] | None:
        """Return the key of a list that goes by time and id; None for the first page."""
        if not token:
            return None
        match self._key(token):
            case [int(microseconds), str(row_id)] if abs(microseconds) <= _LARGEST_TIME:
                return _EPOCH + timedelta(microseconds=microseconds), row_id.replace("\0", "")
        raise MusterError(Reason.PAGE_TOKEN_INVALID)

    def _key(self, token: str) -> list[object]:
        key: list[object]
        try:
            digest, *key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        except (ValueError, TypeError, RecursionError) as error:
            raise MusterError(Reason.PAGE_TOKEN_INVALID) from error
        if digest != self._digest:
            raise MusterError(Reason.PAGE_TOKEN_INVALID, detail="of another list")
        return key
