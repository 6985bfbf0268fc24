"""Channels of a session: named lines on which devices connect, and how they are kept track of."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from muster_kit.errors import MusterError, Reason, Violation

MAIN: Final = "main"
"""The channel of who names none."""

_MILLISECOND: Final = timedelta(milliseconds=1)

MOST_CHANNELS: Final = 100
"""So many channels one session may have."""


@dataclass(frozen=True, slots=True)
class Times:
    """How often a device beats, after how long it is stale, and how long it may take to return."""

    beat_interval: timedelta
    stale_after: timedelta
    return_grace: timedelta


@dataclass(frozen=True, slots=True)
class Line:
    """How a device is kept track of on a channel; what is None is as the deployment has it."""

    channel: str = MAIN
    beat_interval: timedelta | None = None
    stale_after: timedelta | None = None
    return_grace: timedelta | None = None

    @property
    def key(self) -> str:
        """What the index knows of it; no channel's name holds a colon."""
        return f"{self.channel}:{_milliseconds(self.stale_after)}:{_milliseconds(self.return_grace)}"

    @classmethod
    def of_key(cls, key: str) -> "Line":
        """Return a line of which nothing but its key is known: devices are asked to beat often enough."""
        channel, stale_after, return_grace = key.split(":")
        stale = _time_span(stale_after)
        return cls(channel, stale / 2 if stale else None, stale, _time_span(return_grace))

    def times(self, usual: Times) -> Times:
        """Return its times, where it says nothing those of the deployment."""
        return Times(
            usual.beat_interval if self.beat_interval is None else self.beat_interval,
            usual.stale_after if self.stale_after is None else self.stale_after,
            usual.return_grace if self.return_grace is None else self.return_grace,
        )


USUAL: Final = Line()
"""The main channel, as the deployment has it: one for all."""


@dataclass(frozen=True, slots=True)
class OnChannel:
    """How many devices are on a channel, None while nobody knows; and when one last did something."""

    devices: int | None = 0
    last_activity: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel; `packed` is its configuration in the contract's bytes, `revision` 0 without one.

    `connections` are as of now, where they were looked up; `last_activity` as of now there, and else as it
    was kept.
    """

    name: str
    create_time: datetime | None = None
    packed: bytes = field(default=b"", repr=False)
    hidden_from_students: bool = False
    revision: int = 0
    connections: int = 0
    last_activity: datetime | None = None

    def seen(self, live: OnChannel) -> "Channel":
        """Return it with who is on it now; the later activity counts of what was kept and is seen."""
        acted = max(filter(None, (self.last_activity, live.last_activity)), default=None)
        return replace(self, connections=live.devices or 0, last_activity=acted)


def require_beats_in_time(line: Line, usual: Times) -> None:
    """Raise MusterError(INVALID_FIELD) when a device would be stale before it could have missed a beat.

    For a line that says nothing of it the deployment answers.
    """
    times = line.times(usual)
    if times.stale_after >= 2 * times.beat_interval:
        return
    if line.stale_after is not None:
        rule = f"must be at least twice the heartbeat_interval, {times.beat_interval}"
        violation = Violation("configuration.stale_after", rule)
    elif line.beat_interval is not None:
        rule = f"must be at most half of stale_after, {times.stale_after}"
        violation = Violation("configuration.heartbeat_interval", rule)
    else:
        return
    raise MusterError(Reason.INVALID_FIELD, violations=[violation])


def _milliseconds(span: timedelta | None) -> str:
    return "" if span is None else str(span // _MILLISECOND)


def _time_span(milliseconds: str) -> timedelta | None:
    return int(milliseconds) * _MILLISECOND if milliseconds else None
