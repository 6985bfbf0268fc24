"""Writes the frames of one stream, counts them, and watches how long the client takes for each."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from muster_kit.streams import frames

Write: TypeAlias = Callable[[bytes], Awaitable[object]]
"""Sends one serialized frame; returns when there is room for the next."""


class StreamEnd(Exception):  # noqa: N818 - an end, not an error
    """The stream has nothing more to send and ends with OK."""


class ClientTooSlow(Exception):  # noqa: N818 - the client's trait, not our error
    """The client took longer for one frame than it may."""


class Outlet:
    """What one stream sends through."""

    __slots__ = (
        "_frames_left", "_opened", "_opened_time", "_time", "_timeout_seconds", "_write",
        "longest_wait", "quiet_since",
    )  # fmt: skip

    def __init__(
        self,
        write: Write,
        *,
        time: Callable[[], float],
        opened_time: bytes,
        timeout_seconds: float,
        max_frames: int,
    ) -> None:
        """`time` is the loop's clock; `opened_time` is now as part of a frame; 0 `max_frames` is no limit."""
        self.longest_wait = 0.0
        """How many seconds the client was behind at most, since somebody set it to 0."""
        self._write = write
        self._time = time
        self._opened = self.quiet_since = time()
        self._opened_time = opened_time
        self._timeout_seconds = timeout_seconds
        self._frames_left = max_frames

    async def write(self, body: bytes, place: bytes, made: float) -> None:
        """Send a frame made at loop time `made`; raises StreamEnd after the last one, and ClientTooSlow."""
        now = self._time()
        if made < self._opened:
            # An old frame is new to this stream: it neither waited nor was made before the stream was.
            made, body = self._opened, body + self._opened_time
        waited = now - made
        await self._write(body + place + frames.delay(waited))
        self.quiet_since = self._time()
        took = self.quiet_since - now
        # Whatever came meanwhile waits as long as this frame takes, also what is read anew afterwards.
        if max(waited, took) > self.longest_wait:
            self.longest_wait = max(waited, took)
        if took > self._timeout_seconds:
            raise ClientTooSlow
        self._frames_left -= 1
        if self._frames_left == 0:
            raise StreamEnd
