"""As much of HTTP/2 as it takes to call a method over a bare socket, rightly or wrongly.

RFC 9113 has the frames, RFC 7541 the headers, which are all literals here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_HEADER_BYTES: Final = 9
_LARGEST_WINDOW: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65_535


class Kind(IntEnum):
    """The types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
ENHANCE_YOUR_CALM: Final = 0xB
"""What a server says to a client that pings too often."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it came; `kind` may be one that nobody knows."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def __bytes__(self) -> bytes:
        return (
            len(self.payload).to_bytes(3, "big")
            + bytes((self.kind, self.flags))
            + self.stream.to_bytes(4, "big")
            + self.payload
        )


class Frames:
    """Takes bytes as they come, and gives the frames that are whole."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take some bytes."""
        unread = self._unread
        unread += data
        start = 0
        while len(unread) - start >= _HEADER_BYTES:
            end = start + _HEADER_BYTES + int.from_bytes(unread[start : start + 3], "big")
            if len(unread) < end:
                break
            stream = int.from_bytes(unread[start + 5 : start + 9], "big")
            yield Frame(unread[start + 3], unread[start + 4], stream, bytes(unread[start + 9 : end]))
            start = end
        del unread[:start]


def opening() -> bytes:
    """Return what a client says first: it takes as much as there is, on every stream."""
    window = (4).to_bytes(2, "big") + _LARGEST_WINDOW.to_bytes(4, "big")
    more = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
    return PREFACE + bytes(Frame(Kind.SETTINGS, 0, 0, window)) + bytes(Frame(Kind.WINDOW_UPDATE, 0, 0, more))


def call(path: str, message: bytes, token: str = "", *, stream: int = 1) -> list[Frame]:
    """Return the frames of a call with one message, on a stream with an odd number."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if token:
        headers.append(("authorization", f"Bearer {token}"))
    block = b"".join(_literal(name) for name in headers)
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return [
        Frame(Kind.HEADERS, END_HEADERS, stream, block),
        Frame(Kind.DATA, END_STREAM, stream, body),
    ]


def answer(frame: Frame) -> bytes:
    """Return what a client has to answer; empty when nothing."""
    if frame.kind in {Kind.SETTINGS, Kind.PING} and not frame.flags & ACK:
        payload = frame.payload if frame.kind == Kind.PING else b""
        return bytes(Frame(frame.kind, ACK, 0, payload))
    return b""


def _literal(header: tuple[str, str]) -> bytes:
    """Encode a header that no table is to remember (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(_length(len(text.encode())) + text.encode() for text in header)


def _length(number: int) -> bytes:
    """Encode a number behind one bit (RFC 7541, 5.1)."""
    if number < 0x7F:
        return bytes((number,))
    encoded = bytearray((0x7F,))
    number -= 0x7F
    while number >= 0x80:
        encoded.append(number % 0x80 + 0x80)
        number //= 0x80
    encoded.append(number)
    return bytes(encoded)
