"""One timer for all streams of a process: thousands of sleepers cost one wake-up a tick, not one each."""

import asyncio
import math
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Alarm:
    """One call that was asked for; `cancel` takes it back."""

    __slots__ = ("_slot", "ring")

    def __init__(self, ring: Callable[[], None], slot: "set[Alarm]") -> None:
        self.ring = ring
        self._slot = slot
        slot.add(self)

    def cancel(self) -> None:
        """Forget it; nothing happens when it has rung already."""
        self._slot.discard(self)
        # Who asked holds the alarm: if it still held them, both would stay until a garbage collection.
        self.ring = _silent


class Wheel:
    """Calls back up to one tick after the time asked for. It holds no timer while nobody waits."""

    def __init__(self, *, tick_seconds: float = 0.25) -> None:
        self._tick_seconds = tick_seconds
        self._slots: dict[int, set[Alarm]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._turned = 0

    def after(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` once, after `seconds`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is None:
            self._turned = int(now / self._tick_seconds)
            self._arm(loop)
        tick = max(math.ceil((now + seconds) / self._tick_seconds), self._turned + 1)
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = set()
        return Alarm(ring, slot)

    def close(self) -> None:
        """Forget everything."""
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at((self._turned + 1) * self._tick_seconds, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop may have been busy for several ticks.
        due = range(self._turned + 1, max(int(loop.time() / self._tick_seconds), self._turned + 1) + 1)
        self._turned = due[-1]
        slots = [self._slots.pop(tick) for tick in due if tick in self._slots]
        if any(self._slots.values()):
            self._arm(loop)
        else:
            self._slots.clear()
            self._timer = None
        for slot in slots:
            while slot:
                self._ring(slot.pop())

    def _ring(self, alarm: Alarm) -> None:
        try:
            alarm.ring()
        except Exception:  # noqa: BLE001 - logged here
            # One that fails must not keep the others of this tick asleep for ever.
            _log.exception("alarm_failed")


def _silent() -> None:
    """What an alarm does that was taken back."""
