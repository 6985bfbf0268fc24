"""Tells when a stream has been quiet for a while, by looking now and then instead of at every frame."""

import asyncio
import random
from collections.abc import Callable

from muster_kit.streams.outlet import Outlet
from muster_kit.streams.wheel import Alarm, Wheel


class Heartbeat:
    """Calls `on_quiet` when nothing was sent for a time that is drawn anew for every beat."""

    __slots__ = ("_alarm", "_beat_seconds", "_on_quiet", "_outlet", "_range_seconds", "_time", "_wheel")

    def __init__(
        self,
        outlet: Outlet,
        wheel: Wheel,
        range_seconds: tuple[float, float],
        *,
        on_quiet: Callable[[], None],
    ) -> None:
        self._outlet = outlet
        self._wheel = wheel
        self._range_seconds = range_seconds
        self._on_quiet = on_quiet
        self._time = asyncio.get_running_loop().time
        self._beat_seconds = self._draw()
        self._alarm: Alarm = wheel.after(self._beat_seconds, self._look)

    def stop(self) -> None:
        """Beat no more."""
        self._alarm.cancel()

    def _draw(self) -> float:
        return random.uniform(*self._range_seconds)  # noqa: S311 - spreads load, guards nothing

    def _look(self) -> None:
        left = self._outlet.quiet_since + self._beat_seconds - self._time()
        if left <= 0:
            self._on_quiet()
            left = self._beat_seconds = self._draw()
        self._alarm = self._wheel.after(left, self._look)
