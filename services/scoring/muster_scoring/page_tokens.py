"""Page tokens: where a page ended, of which list; opaque to clients, checked when they come back."""

import base64
import binascii
import hashlib

from muster_kit.errors import MusterError, Reason

_LIST_BYTES = 6


def encode(position: bytes, *of_list: str) -> str:
    """Return the token of a list, named by the request's fields that choose it, at a position."""
    return base64.urlsafe_b64encode(_name(of_list) + position).decode()


def decode(token: str, *of_list: str) -> bytes | None:
    """Return the position, or None without a token.

    Raises PAGE_TOKEN_INVALID for what is not a token, or is one of another list.
    """
    if not token:
        return None
    try:
        data = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError) as error:
        raise MusterError(Reason.PAGE_TOKEN_INVALID) from error
    if data[:_LIST_BYTES] != _name(of_list) or len(data) == _LIST_BYTES:
        raise MusterError(Reason.PAGE_TOKEN_INVALID)
    return data[_LIST_BYTES:]


def _name(of_list: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\0".join(of_list).encode()).digest()[:_LIST_BYTES]
