"""How often, how long and how much: every number of the streaming core that a test may want smaller."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times are in seconds. The memory of one room in one process is bounded by `ring_*` and `replay_*`."""

    heartbeat_seconds: tuple[float, float] = (15.0, 25.0)
    """A quiet stream gets a heartbeat after a time drawn anew from this range."""

    write_timeout_seconds: float = 20.0
    """A client that takes longer than this for one frame is told to reconnect."""

    drain_spread_seconds: float = 5.0
    """A draining worker's clients come back within this time, not all at once."""

    stamp_seconds: float = 0.25
    """So long may a live frame wait for its stream on our account; beyond it, the client did not read."""

    lag_seconds: float = 1.0
    """A stream is slow when it was not up to date for this long; lag frames come no more often than this."""

    check_seconds: float = 2.0
    """How often the heads of all watched rooms are read from the log."""

    check_away_seconds: float = 0.5
    """The same while Redis is away, when it is the only way to notice new events."""

    gap_grace_seconds: float = 0.02
    """How long a gap may close by itself: publications of two workers overtake each other all the time."""

    linger_seconds: float = 30.0
    """How long a room that nobody watches stays warm, since clients that were cut come back soon."""

    lossy_seconds: float = 0.2
    """Lossy messages that arrive within this time are merged into one frame."""

    ring_events: int = 1024
    """The newest events of a room, kept ready to send to every stream: the bound of the must lane."""

    ring_bytes: int = 1 << 20
    """The same bound in bytes of frames."""

    replay_events: int = 512
    """How many events one query of the log reads, for streams that are further back than the ring."""

    snapshot_seconds: float = 0.5
    """So old may a snapshot be that is given to somebody who comes while the room changes."""

    snapshot_events: int = 100
    """So many events may follow it; all of them have to be in the ring."""

    frame_bytes: int = 16 << 10
    """A run of events is cut into frames of at most this size (a larger event goes alone): a client at
    1 KB/s can take one within the write timeout, and no client's message limit of 4 MB is met."""
