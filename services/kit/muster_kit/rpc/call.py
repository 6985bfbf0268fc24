"""One call, as its servicer sees it."""

import asyncio
import ipaddress
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Self
from urllib.parse import unquote

import grpc
from google.protobuf.message import Message

from muster_kit.caller import PUBLIC, Caller
from muster_kit.errors import MusterError
from muster_kit.ids import new_id

_EOF: Final[object] = getattr(grpc.aio, "EOF")  # noqa: B009 - the stubs lack it

Context = Any
"""grpc's servicer context; its type takes parameters that say nothing here."""


class Call:
    """Who calls which method, and the way to answer with a stream.

    `caller` and `method` (`muster.session.v1.SessionService/Watch`) are there to read. Everything
    else of gRPC stays outside the servicers: they fail by raising, and end streams by returning.
    """

    __slots__ = (
        "_call_id",
        "_context",
        "_decode",
        "_gone",
        "_on_draining",
        "_task",
        "_trusted_proxies",
        "caller",
        "closed",
        "ended",
        "ended_by",
        "method",
        "start_time",
        "write_start_time",
    )

    def __init__(
        self, context: Context, *, method: str, decode: Callable[[bytes], Message], trusted_proxies: int = 0
    ) -> None:
        """Made by the method's wrapper, in the task that serves the call."""
        self._context = context
        self._decode = decode
        self._trusted_proxies = trusted_proxies
        self._call_id = ""
        self._gone = False
        self._on_draining: Callable[[], None] | None = None
        self._task = asyncio.current_task()
        self.caller: Caller = PUBLIC
        self.closed = False
        self.ended = False
        self.ended_by: MusterError | None = None
        self.method = method
        self.start_time = time.monotonic()
        self.write_start_time = math.inf

    @property
    def call_id(self) -> str:
        """The id under which the log has this call; clients get it when a fault is ours."""
        if not self._call_id:
            self._call_id = new_id()
        return self._call_id

    @property
    def peer_address(self) -> str:
        """The client's IP address; behind trusted proxies, the one the outermost of them saw."""
        if self._trusted_proxies:
            metadata = self._context.invocation_metadata()
            # Proxies extend the one header; of several, gRPC would keep the last alone.
            forwarded = next((value for key, value in metadata if key == "x-forwarded-for"), "")
            hops = [hop.strip() for hop in forwarded.split(",")]
            if len(hops) >= self._trusted_proxies and _is_address(hops[-self._trusted_proxies]):
                return hops[-self._trusted_proxies]
        return _address(self._context.peer())

    def time_remaining(self) -> float | None:
        """Return the seconds until the client's deadline, never negative; None when it set none."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    async def write(self, frame: bytes | Message) -> None:
        """Send one message of the response stream, in its wire form or as it is.

        Waits while megabytes are unread. Once the client is gone, the call counts as cancelled.
        """
        data = frame if type(frame) is bytes else frame.SerializeToString()  # type: ignore[union-attr]
        self.write_start_time = time.monotonic()
        try:
            await self._context.write(data)
        except grpc.aio.BaseError as error:
            raise self._left() from error
        finally:
            self.write_start_time = math.inf

    def requests(self) -> AsyncIterator[Any]:
        """Return the request stream: each message is read when asked for, and checked by its rules.

        It ends when the client is done, but also when it breaks off: gRPC tells the two apart only
        a moment later, by cancelling the servicer. So its end is no proof that all has arrived.
        """
        return _Requests(self._read, self._decode)

    def on_draining(self, callback: Callable[[], None]) -> None:
        """Call `callback`, once, when this process is to go away; the stream should end soon after."""
        self._on_draining = callback

    def tell_draining(self) -> None:
        """Tell the stream that this process is to go away."""
        if self._on_draining is not None:
            callback, self._on_draining = self._on_draining, None
            callback()

    def finish(self) -> None:
        """End the call with OK, from outside of its servicer."""
        self.end(None)

    def end(self, error: MusterError | None) -> None:
        """End the call with `error`, from outside of its servicer, which is cancelled; None for OK.

        Nothing happens when the servicer has ended by itself.
        """
        if not self.ended and not self.closed and self._task is not None:
            self.ended = True
            self.ended_by = error
            self._task.cancel()

    def absorb_end(self) -> bool:
        """Tell whether `end` is why the servicer was cancelled; if so, the task is not cancelled any more."""
        return self.ended and self._task is not None and self._task.uncancel() == 0

    def is_cancelled(self) -> bool:
        """Tell whether the call itself was cancelled: its client has left, or its server has stopped."""
        return self._gone or (self._task is not None and self._task.cancelling() > 0)

    async def _read(self) -> object:
        try:
            return await self._context.read()
        except grpc.aio.BaseError as error:
            raise self._left() from error

    def _left(self) -> asyncio.CancelledError:
        self._gone = True
        return asyncio.CancelledError()


class _Requests:
    # An object, not an async generator: those must be closed, and often are not.
    __slots__ = ("_decode", "_read")

    def __init__(self, read: Callable[[], Awaitable[Any]], decode: Callable[[bytes], Message]) -> None:
        self._read = read
        self._decode = decode

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        data = await self._read()
        if data is _EOF:
            raise StopAsyncIteration
        return self._decode(data)


def _address(peer: str) -> str:
    """Return the address in a peer such as `ipv4:192.0.2.1:5000` or `ipv6:%5B2001:db8::1%5D:5000`."""
    scheme, _, rest = peer.partition(":")
    return unquote(rest.rpartition(":")[0]).strip("[]") if scheme in {"ipv4", "ipv6"} else scheme


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
