"""A bounded shelf of runs, found by the seq of any event in them."""

from collections import deque

from muster_kit.streams.run import Run


class Shelf:
    """Keeps the runs that were added last, up to so many events and bytes (at least one run)."""

    __slots__ = ("_bytes", "_max_bytes", "_max_events", "_runs", "_runs_by_seq")

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        # Most rooms of one person never have a run, and a deque takes 600 bytes.
        self._runs: deque[Run] | None = None
        self._runs_by_seq: dict[int, Run] = {}

    @property
    def oldest_seq(self) -> int | None:
        """The first event of the run that was added first."""
        return self._runs[0].first_seq if self._runs else None

    @property
    def size_bytes(self) -> int:
        """What the frames on the shelf weigh."""
        return self._bytes

    def get(self, seq: int) -> Run | None:
        """Return the run that holds event `seq`."""
        return self._runs_by_seq.get(seq)

    def add(self, run: Run) -> None:
        """Put a run on the shelf, and take the oldest off until it fits."""
        runs = self._runs
        if runs is None:
            runs = self._runs = deque()
        runs.append(run)
        self._bytes += len(run.body)
        for seq in range(run.first_seq, run.last_seq + 1):
            self._runs_by_seq[seq] = run
        while len(runs) > 1 and self._too_much():
            self._drop(runs.popleft())

    def clear(self) -> None:
        """Take everything off."""
        self._runs = None
        self._runs_by_seq.clear()
        self._bytes = 0

    def _too_much(self) -> bool:
        return len(self._runs_by_seq) > self._max_events or self._bytes > self._max_bytes

    def _drop(self, run: Run) -> None:
        self._bytes -= len(run.body)
        for seq in range(run.first_seq, run.last_seq + 1):
            # A run that was added later may hold the same events.
            if self._runs_by_seq.get(seq) is run:
                del self._runs_by_seq[seq]
