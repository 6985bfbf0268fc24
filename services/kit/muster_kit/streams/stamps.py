"""Stamps on what a stream is handed live: they say when, and belong to that stream alone."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from muster_kit.streams import frames
from muster_kit.streams.process import Process
from muster_kit.streams.run import Run

Stamp: TypeAlias = Callable[[int, int], Callable[[datetime], bytes] | None]
"""Told (first seq, last seq) of a run; returns what makes its stamp of the time of now, None for none."""


class Stamper:
    """Stamps the runs of one stream."""

    __slots__ = ("_loop", "_opened", "_process", "_stamp")

    def __init__(self, stamp: Stamp | None, process: Process) -> None:
        """Made when the stream is opened."""
        self._stamp = stamp
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.time()

    def mark(self, run: Run) -> bytes:
        """Return the part of a frame to put behind a run that is handed over now; nearly always none."""
        # Whoever comes later and reads what has happened must not be taken for one who was told late.
        if self._stamp is None or not run.is_live or run.made < self._opened:
            return b""
        stamp_at = self._stamp(run.first_seq, run.last_seq)
        if stamp_at is None:
            return b""
        waited = self._loop.time() - run.made
        too_long = max(0.0, waited - self._process.tuning.stamp_seconds)
        return frames.delivery_stamp(stamp_at(self._process.clock.now() - timedelta(seconds=too_long)))
