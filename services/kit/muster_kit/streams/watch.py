"""What a watch of a room asks for."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from muster_kit.streams.snapshots import TakeSnapshot
from muster_kit.streams.stamps import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How a stream's ticket is renewed: `renew` returns the message, or None when the ticket has run out."""

    every_seconds: float
    renew: Callable[[], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a watch asks for."""

    after: bytes
    snapshot: TakeSnapshot
    snapshot_key: Hashable
    viewer: object
    max_frames: int
    replay_only: bool
    renewal: Renewal | None
    stamp: Stamp | None = None
