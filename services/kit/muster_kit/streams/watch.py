"""What a watch of a room asks for."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster_kit.streams.snapshots import TakeSnapshot
from muster_kit.streams.stamps import Stamp

_LONGEST_STREAM: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How a stream's ticket is renewed: `renew` returns the message, or None when the ticket has run out."""

    every_seconds: float
    renew: Callable[[], Awaitable[bytes | None]]

    @classmethod
    def never(cls, expire_time: datetime, now: datetime) -> "Renewal | None":
        """Return what ends a stream with a token that its issuer renews: the client comes back with another.

        None for a token that outlasts every stream.
        """
        left = expire_time - now
        if left > _LONGEST_STREAM:
            return None
        return cls(every_seconds=max(left.total_seconds(), 0.0), renew=_nothing)


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
    may_wait: bool = False


async def _nothing() -> bytes | None:
    return None
