"""Channels of a session: named lines on which devices connect, and how they are kept track of."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from muster_kit.errors import MusterError, Reason, Violation

MAIN: Final = "main"
"""The channel of who names none."""

MOST_CHANNELS: Final = 100
"""So many channels one session may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel; `packed` is its configuration in the contract's bytes, `revision` 0 without one.

    `connections` and `last_activity` are as of now, where they were looked up.
    """

    name: str
    create_time: datetime | None = None
    packed: bytes = field(default=b"", repr=False)
    hidden_from_students: bool = False
    revision: int = 0
    connections: int = 0
    last_activity: datetime | None = None


def require_beats_in_time(heartbeat_interval: timedelta | None, stale_after: timedelta | None) -> None:
    """Raise MusterError(INVALID_FIELD) when a device would be stale before it could have missed a beat."""
    if heartbeat_interval and stale_after and stale_after < 2 * heartbeat_interval:
        violation = Violation("configuration.stale_after", "must be at least twice the heartbeat_interval")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
