"""The lossy lane: messages of which only the sum matters, such as reactions."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, Protocol, Self

from muster_kit.clock import Clock
from muster_kit.streams import frames

_KEPT_BATCHES: Final = 16
_KEPT_COUNTS: Final = 64


class Merge(Protocol):
    """Lossy messages merged into one; immutable, and no larger for more messages."""

    @property
    def messages(self) -> int:
        """How many messages are merged in it."""
        ...

    def merge(self, other: Self, /) -> Self:
        """Return both as one."""
        ...

    def render(self) -> bytes:
        """Return the service's message."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """A Merge that adds up counts by name; of too many names, those that came first are kept."""

    counts: Mapping[str, int]
    encode: Callable[[Mapping[str, int]], bytes]

    @property
    def messages(self) -> int:
        """How many were counted."""
        return sum(self.counts.values())

    def merge(self, other: "Counts", /) -> "Counts":
        """Return the sum."""
        total = dict(self.counts)
        for name, count in other.counts.items():
            if name in total or len(total) < _KEPT_COUNTS:
                total[name] = total.get(name, 0) + count
        return Counts(total, self.encode)

    def render(self) -> bytes:
        """Return the service's message."""
        return self.encode(self.counts)


@dataclass(frozen=True, slots=True)
class _Batch:
    merge: Merge
    body: bytes
    made: float
    total: int


class Lossy:
    """The last batches of one room; `total` counts all messages since the room was opened here."""

    def __init__(self, clock: Clock) -> None:
        self.batch_count = 0
        self.total = 0
        # Made when it is needed, as most rooms never have one, and a deque takes 600 bytes.
        self._batches: deque[_Batch] | None = None
        self._clock = clock
        self._open: Merge | None = None

    @property
    def batches(self) -> Sequence[_Batch]:
        """The batches that are kept, oldest first."""
        return self._batches or ()

    def toss(self, merge: Merge) -> bool:
        """Add a message to the open batch; True when it is the first, and the batch must be closed soon."""
        first = self._open is None
        self._open = merge if self._open is None else self._open.merge(merge)
        return first

    def close_batch(self, *, made: float) -> None:
        """Make the open batch a frame."""
        merge, self._open = self._open, None
        if merge is not None:
            self.batch_count += 1
            self.total += merge.messages
            body = frames.lossy(self._clock.now(), merge.render())
            if self._batches is None:
                self._batches = deque(maxlen=_KEPT_BATCHES)
            self._batches.append(_Batch(merge, body, made, self.total))

    def merged(self, batch_count: int) -> bytes:
        """Return the newest batches as one frame; of those that are no longer kept nothing is left."""
        merges = [batch.merge for batch in self.batches][-batch_count:]
        payload = reduce(lambda sum_, merge: sum_.merge(merge), merges).render()
        return frames.lossy(self._clock.now(), payload)


class LossyLane:
    """What one stream has been given of the batches of its room."""

    __slots__ = ("_batch_count", "_lossy", "_total", "dropped")

    def __init__(self, lossy: Lossy) -> None:
        self.dropped = 0
        self._lossy = lossy
        self._batch_count = lossy.batch_count
        self._total = lossy.total

    def take(self) -> tuple[bytes, float] | None:
        """Return (body, loop time made) of what came since the last time, as one frame."""
        behind = self._lossy.batch_count - self._batch_count
        if not behind:
            return None
        newest = self._lossy.batches[-1]
        missed = newest.total - self._total
        self._batch_count, self._total = self._lossy.batch_count, newest.total
        if behind == 1:
            return newest.body, newest.made
        self.dropped += missed - newest.merge.messages
        return self._lossy.merged(behind), newest.made
