"""The algebra of intervals: spans of time, and a line of them on which the time between has no length."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

NONE: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `start` to before `end`; an `end` of None has not come yet."""

    start: datetime
    end: datetime | None = None

    def until(self, time: datetime) -> "Span | None":
        """Return what there is of it before a time; None for nothing."""
        end = time if self.end is None else min(self.end, time)
        return Span(self.start, end) if self.start < end else None

    def holds(self, time: datetime) -> bool:
        """Tell whether a time is in it."""
        return self.start <= time and (self.end is None or time < self.end)


Piece = tuple[timedelta, timedelta]
"""From one place on a line to another behind it."""


class Timeline:
    """Spans laid end to end, as a line of its own: a place on it is how much time of the spans has passed.

    The spans are in order and apart from each other; what is behind the time they are cut at is not on it.
    """

    def __init__(self, spans: Iterable[Span], until: datetime) -> None:
        """Cut the spans at a time, which ends one that has no end."""
        cut = [part for span in spans if (part := span.until(until)) is not None]
        self._starts = [span.start for span in cut]
        self._lengths = [(span.end or until) - span.start for span in cut]
        self._places = list(accumulate(self._lengths, initial=NONE))

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self._places[-1]

    def place(self, time: datetime | None) -> timedelta:
        """Return how much of it has passed at a time; all of it at None."""
        if time is None:
            return self.length
        index = bisect_right(self._starts, time) - 1
        if index < 0:
            return NONE
        return self._places[index] + min(time - self._starts[index], self._lengths[index])

    def first_time(self, place: timedelta) -> datetime:
        """Return the time of a place before its end; behind a pause for one that begins with it."""
        if not NONE <= place < self.length:
            raise ValueError("not before the end of the line")
        index = bisect_right(self._places, place) - 1
        return self._starts[index] + (place - self._places[index])

    def last_time(self, place: timedelta) -> datetime:
        """Return the time of a place behind its start; before a pause for one that ends with it."""
        if not NONE < place <= self.length:
            raise ValueError("not behind the start of the line")
        index = bisect_left(self._places, place) - 1
        return self._starts[index] + (place - self._places[index])

    def pieces(self, spans: Iterable[Span], tolerance: timedelta = NONE) -> Sequence[Piece]:
        """Return what other spans, in any order and overlapping or not, cover of the line.

        In order, apart from each other by more than `tolerance`: shorter gaps are covered too.
        """
        placed = sorted((self.place(span.start), self.place(span.end)) for span in spans)
        pieces: list[Piece] = []
        for start, end in placed:
            if start >= end:
                # All of it between the spans of the line, before the first or behind the last.
                continue
            if pieces and start - pieces[-1][1] <= tolerance:
                pieces[-1] = pieces[-1][0], max(pieces[-1][1], end)
            else:
                pieces.append((start, end))
        return pieces


def covered(pieces: Iterable[Piece]) -> timedelta:
    """Return how long pieces are that are apart from each other."""
    return sum((end - start for start, end in pieces), NONE)
