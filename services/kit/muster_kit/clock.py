"""What time it is: the machine's clock, or one that follows the database's."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

_SAMPLES: Final = 5

_log = structlog.get_logger(__name__)


class Clock(Protocol):
    """A source of now, passed to whoever needs one, so that tests can turn it."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's time."""
        return datetime.now(UTC)


class CalibratedClock:
    """A clock that agrees with another one, such as the database's, and asks it only now and then.

    Between calibrations it runs on the monotonic clock, so that setting the machine's time does
    not move it. Until the first calibration it shows the machine's time.
    """

    def __init__(self, measure: Callable[[], Awaitable[datetime]]) -> None:
        """`measure` asks the other clock for its time."""
        self._measure = measure
        self._anchor = datetime.now(UTC)
        self._anchor_monotonic = time.monotonic()

    def now(self) -> datetime:
        """Return the other clock's time, as far as known."""
        return self._anchor + timedelta(seconds=time.monotonic() - self._anchor_monotonic)

    async def calibrate(self) -> None:
        """Ask the other clock a few times, and believe the answer that came back fastest.

        The answer is taken to be of the middle of its round trip, so the error is at most half
        of the shortest one (Cristian's algorithm).
        """
        shortest = float("inf")
        for _ in range(_SAMPLES):
            sent = time.monotonic()
            answer = await self._measure()
            received = time.monotonic()
            if received - sent < shortest:
                shortest = received - sent
                self._anchor, self._anchor_monotonic = answer, (sent + received) / 2

    async def keep(self, every: timedelta) -> None:
        """Calibrate again and again until cancelled; a failure leaves the last calibration in force."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                await self.calibrate()
            except Exception as error:  # noqa: BLE001 - whatever ails the store, the clock must go on
                _log.warning("clock_not_calibrated", error=repr(error))
