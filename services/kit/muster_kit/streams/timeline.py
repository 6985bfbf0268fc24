"""Puts the publications of one room in order, whether they come twice, out of order, or never."""

from collections.abc import Sequence
from typing import Final

MAX_EARLY: Final = 64


class Timeline:
    """Says what continues the log. Pure: it knows nothing of where events come from.

    `head` is the last event in order so far, `known` the last one that is known to exist. Runs that
    came too early wait, at most MAX_EARLY of them; the log has those that are let go.
    """

    __slots__ = ("_early", "head", "known")

    def __init__(self, head: int) -> None:
        self.head = head
        self.known = head
        self._early: dict[int, Sequence[bytes]] = {}

    @property
    def behind(self) -> bool:
        """True while events are known to exist that have not been offered."""
        return self.known > self.head

    def offer(self, first_seq: int, events: Sequence[bytes]) -> Sequence[bytes]:
        """Take a run from anywhere; return the events that now follow the old head, often none."""
        self.expect(first_seq + len(events) - 1)
        if first_seq > self.head + 1:
            self._keep(first_seq, events)
            return ()
        ready = events[self.head + 1 - first_seq :]
        self.head += len(ready)
        return [*ready, *self._take_early()] if self._early else ready

    def expect(self, seq: int) -> None:
        """Note that the log reaches `seq`."""
        self.known = max(self.known, seq)

    def restart(self, head: int) -> None:
        """Go on after `head`, whatever lies before it; nothing beyond it is known."""
        self.head = self.known = head
        self._early.clear()

    def _keep(self, first_seq: int, events: Sequence[bytes]) -> None:
        if len(events) > len(self._early.get(first_seq, ())):
            self._early[first_seq] = events
        if len(self._early) > MAX_EARLY:
            del self._early[max(self._early)]

    def _take_early(self) -> list[bytes]:
        ready: list[bytes] = []
        while self._early and (first_seq := min(self._early)) <= self.head + 1:
            more = self._early.pop(first_seq)[self.head + 1 - first_seq :]
            self.head += len(more)
            ready.extend(more)
        return ready
