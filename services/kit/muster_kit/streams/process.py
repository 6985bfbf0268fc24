"""What all rooms of one process share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from muster_kit.clock import Clock
from muster_kit.streams.background import Background
from muster_kit.streams.tuning import Tuning
from muster_kit.streams.wheel import Wheel

RunHook: TypeAlias = Callable[[str, Sequence[bytes]], None]
"""Told (room id, events): every event of a watched room once and in order, before the streams are."""

SignalHook: TypeAlias = Callable[[str, bytes], None]
"""Told (room id, payload) of signals; an empty payload says that signals may have been missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The surroundings of a room: time, timers, tasks, and whom to tell what happens in it."""

    clock: Clock
    tuning: Tuning
    wheel: Wheel
    background: Background
    on_doubt: Callable[[], None]
    """Asks for a check of all heads, soon: somebody knows of a log that we do not."""

    run_hooks: list[RunHook] = field(default_factory=list)
    signal_hooks: list[SignalHook] = field(default_factory=list)
