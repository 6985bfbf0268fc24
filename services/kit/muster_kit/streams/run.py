"""A run of consecutive log events as one frame, serialized once for every stream of the process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from muster_kit.streams import frames
from muster_kit.streams.cursor import Cursor


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Events `first_seq` to `last_seq`; `place` is the cursor that a stream has after this frame.

    `made` is the loop's time in seconds. A run that is not `is_live` was read back from the log.
    """

    first_seq: int
    last_seq: int
    body: bytes
    place: bytes
    made: float
    is_live: bool = True

    def __len__(self) -> int:
        return self.last_seq - self.first_seq + 1

    def after(self, seq: int) -> "Run":
        """Return the part after `seq`, an event of this run but not its last."""
        body = frames.without_events(self.body, seq + 1 - self.first_seq)
        return replace(self, first_seq=seq + 1, body=body)


@dataclass(frozen=True, slots=True)
class Press:
    """Makes runs of one log: knows its epoch and how large a frame may be."""

    epoch: int
    frame_bytes: int

    def runs(self, first_seq: int, events: Sequence[bytes], *, now: datetime, made: float) -> list[Run]:
        """Return the events as runs, nearly always one; `made` is the loop's time of `now`, in seconds."""
        runs: list[Run] = []
        start, size = 0, 0
        for index, event in enumerate(events):
            if size + len(event) > self.frame_bytes and index > start:
                runs.append(self._run(first_seq + start, events[start:index], now, made))
                start, size = index, 0
            size += len(event)
        if start < len(events):
            runs.append(self._run(first_seq + start, events[start:], now, made))
        return runs

    def _run(self, first_seq: int, events: Sequence[bytes], now: datetime, made: float) -> Run:
        last_seq = first_seq + len(events) - 1
        place = frames.place(Cursor(self.epoch, last_seq))
        return Run(first_seq, last_seq, frames.events(now, events), place, made)
