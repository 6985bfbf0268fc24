"""How the devices of a person make one presence: the rules that the scripts of the index are held against.

Times are milliseconds since 1970, given by who calls. Nothing happens by itself: what has run out
counts until the next step of the person, or the next sweep.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from muster_presence.model import Activity, Cause, Outcome, Profile, State, Step, Timing, Verb
from muster_presence.model_channels import USUAL, Line, Times

MILLISECOND: Final = timedelta(milliseconds=1)
MOST_DEVICES: Final = 32
"""So many devices of a person are kept track of in a scope; those with the shortest lease give way."""


@dataclass(slots=True)
class Device:
    """What is known of one device; one that has left is only remembered, until `gone_ms`."""

    sequence: int = 0
    is_away: bool = False
    stale_ms: int = 0
    gone_ms: int = 0
    holders: dict[str, int] = field(default_factory=dict)
    activity: Activity | None = None
    start_ms: int = 0
    said: int = 0
    has_left: bool = False
    line: Line = USUAL

    def state(self, now_ms: int) -> State:
        """Return how present it is by itself."""
        if self.has_left or self.gone_ms <= now_ms:
            return State.OFFLINE
        if self.stale_ms <= now_ms:
            return State.STALE
        return State.AWAY if self.is_away else State.ACTIVE


@dataclass(frozen=True, slots=True)
class Shown:
    """What others see of a person; a change of it is an event."""

    state: State
    activity: Activity | None
    start_ms: int
    profile: Profile


@dataclass(frozen=True, slots=True)
class Event:
    """Someone came, changed or went: `before` or `after` is None for who was or is not here."""

    before: Shown | None
    after: Shown | None
    cause: Cause = Cause.VANISHED


@dataclass(slots=True)
class Person:
    """One person in one scope."""

    timing: Timing
    profile: Profile = field(default_factory=lambda: Profile(""))
    devices: dict[str, Device] = field(default_factory=dict)
    shown: Shown | None = None
    enter_ms: int = 0
    last_activity_ms: int = 0
    last_seen_ms: int = 0
    said: int = 0
    due_ms: int = 0

    @property
    def device_count(self) -> int:
        """How many devices have a lease, as of the last step or sweep."""
        return sum(not device.has_left for device in self.devices.values())

    def take(self, step: Step, now_ms: int) -> tuple[Outcome, Event | None]:
        """Let a device do something; return what became of it, and what others see of that."""
        outcome = self._apply(step, now_ms)
        if outcome is not Outcome.TAKEN:
            return outcome, None
        cause = step.cause if step.verb is Verb.LEAVE else Cause.VANISHED
        return outcome, self._settle(now_ms, cause, step.enter_ms)

    def renew(self, device_id: str, holder: str, now_ms: int) -> bool:
        """Let a process go on with a device that it holds, which others do not see; False if it does not."""
        device = self.devices.get(device_id)
        if device is None or holder not in device.holders or device.stale_ms <= now_ms:
            return False
        _, grace_ms = self._times(device)
        device.holders[holder] = now_ms + self.timing.stream_lease_ms
        lasts_ms = now_ms + self.timing.stream_lease_ms + grace_ms
        device.stale_ms = device.gone_ms = max(device.gone_ms, lasts_ms)
        self.last_seen_ms = now_ms
        self._plan(now_ms)
        return True

    def sweep(self, now_ms: int) -> Event | None:
        """Let go of what has run out, if anything may have since it was last looked at."""
        return self._settle(now_ms, Cause.VANISHED, 0) if self.due_ms <= now_ms else None

    def _plan(self, now_ms: int) -> None:
        ends = (
            device.stale_ms if device.stale_ms > now_ms else device.gone_ms
            for device in self.devices.values()
        )
        self.due_ms = min(ends, default=0)

    def _call(self, now_ms: int) -> Outcome:
        here = {
            device_id: device
            for device_id, device in self.devices.items()
            if device.state(now_ms) is not State.OFFLINE
        }
        if not here:
            return Outcome.ABSENT
        if not any(device.holders for device in here.values()):
            device = here[max(here, key=lambda each: (here[each].stale_ms, each))]
            stale_after_ms, grace_ms = self._times(device)
            device.stale_ms = max(device.stale_ms, now_ms + stale_after_ms)
            device.gone_ms = max(device.gone_ms, device.stale_ms + grace_ms)
        self.last_seen_ms = self.last_activity_ms = now_ms
        return Outcome.TAKEN

    def _apply(self, step: Step, now_ms: int) -> Outcome:
        if step.verb is Verb.CALL:
            return self._call(now_ms)
        device = self.devices.get(step.device_id)
        if step.verb is Verb.CLOSE:
            return self._close(device, step.holder, now_ms)
        if device is not None and 0 < step.sequence < device.sequence:
            return Outcome.LATE
        is_here = device is not None and not device.has_left
        if step.verb is Verb.LEAVE:
            return self._leave(step, is_here=is_here, now_ms=now_ms)
        if (step.verb is Verb.TOUCH and not is_here) or (
            step.verb is Verb.RENEW and device is not None and device.has_left
        ):
            return Outcome.ABSENT
        self._be_here(step, is_new=not is_here, now_ms=now_ms)
        return Outcome.TAKEN

    def _close(self, device: Device | None, holder: str, now_ms: int) -> Outcome:
        if device is None or holder not in device.holders:
            return Outcome.ABSENT
        del device.holders[holder]
        kept_ms = max([now_ms, *device.holders.values()])
        device.stale_ms = device.gone_ms = kept_ms + self._times(device)[1]
        return Outcome.TAKEN

    def _leave(self, step: Step, *, is_here: bool, now_ms: int) -> Outcome:
        if not is_here and not step.sequence:
            return Outcome.ABSENT
        gone_ms = now_ms + self.timing.memory_ms
        self._add(step, Device(stale_ms=gone_ms, gone_ms=gone_ms, has_left=True))
        if is_here:
            self.last_seen_ms = now_ms
        return Outcome.TAKEN

    def _be_here(self, step: Step, *, is_new: bool, now_ms: int) -> None:
        if is_new:
            self._add(step, Device())
        device = self.devices[step.device_id]
        device.sequence = max(device.sequence, step.sequence)
        is_said = is_new or step.verb is not Verb.RENEW
        if is_said and step.profile is not None:
            name = step.profile.display_name or self.profile.display_name
            self.profile = replace(step.profile, display_name=name)
        if is_said:
            device.line = step.line or device.line
            device.is_away = step.is_away
            if not step.keeps_activity:
                self._speak(device, step.activity, now_ms)
        self._extend(device, step, now_ms)
        self.last_seen_ms = now_ms
        if step.verb is not Verb.RENEW and not step.is_away:
            self.last_activity_ms = now_ms

    def _add(self, step: Step, device: Device) -> None:
        old = self.devices.pop(step.device_id, None)
        device.sequence = max(step.sequence, old.sequence if old is not None else 0)
        if len(self.devices) >= MOST_DEVICES:
            del self.devices[min(self.devices, key=lambda each: (self.devices[each].gone_ms, each))]
        self.devices[step.device_id] = device

    def _speak(self, device: Device, activity: Activity | None, now_ms: int) -> None:
        """Take what a device says that the person does; one that says nothing leaves the word to others."""
        spoken = self._speaker()
        device.activity, device.said, device.start_ms = activity, 0, 0
        if activity is None:
            return
        self.said += 1
        goes_on = spoken is not None and spoken[0].key == activity.key
        device.said, device.start_ms = self.said, spoken[1] if spoken is not None and goes_on else now_ms

    def _speaker(self) -> tuple[Activity, int] | None:
        """Return what the person does, by the device that said so last, and since when."""
        last = max(self.devices.values(), key=lambda device: device.said, default=None)
        return None if last is None or last.activity is None else (last.activity, last.start_ms)

    def _times(self, device: Device) -> tuple[int, int]:
        """Return after how long a device is stale, and its grace, in milliseconds."""
        usual = Times(
            timedelta(0),
            timedelta(milliseconds=self.timing.stale_after_ms),
            timedelta(milliseconds=self.timing.return_grace_ms),
        )
        times = device.line.times(usual)
        return times.stale_after // MILLISECOND, times.return_grace // MILLISECOND

    def channels(self) -> Counter[str]:
        """Return how many devices are on which channel, as of the last step or sweep."""
        here = self.devices.values() if self.shown else ()
        return Counter(device.line.channel for device in here if not device.has_left)

    def _extend(self, device: Device, step: Step, now_ms: int) -> None:
        stale_after_ms, grace_ms = self._times(device)
        if step.verb in (Verb.HOLD, Verb.RENEW):
            held_ms = now_ms + self.timing.stream_lease_ms
            device.holders[step.holder] = held_ms
            device.gone_ms = max(device.gone_ms, held_ms + grace_ms)
            # Whoever holds a stream is never stale: the grace is not seen by others.
            device.stale_ms = device.gone_ms
        else:
            device.stale_ms = max(device.stale_ms, now_ms + stale_after_ms)
            device.gone_ms = max(device.gone_ms, device.stale_ms + grace_ms)

    def _settle(self, now_ms: int, cause: Cause, enter_ms: int) -> Event | None:
        self.devices = {each: device for each, device in self.devices.items() if device.gone_ms > now_ms}
        for device in self.devices.values():
            device.holders = {
                holder: held_ms
                for holder, held_ms in device.holders.items()
                if held_ms + self._times(device)[1] > now_ms
            }
        self._plan(now_ms)
        before, self.shown = self.shown, self._look(now_ms)
        if self.shown == before:
            return None
        if before is None:
            self.enter_ms = min(enter_ms or now_ms, now_ms)
        return Event(before, self.shown, cause)

    def _look(self, now_ms: int) -> Shown | None:
        state = min((device.state(now_ms) for device in self.devices.values()), default=State.OFFLINE)
        if state is State.OFFLINE:
            return None
        activity, start_ms = self._speaker() or (None, 0)
        if activity is None or not activity.is_shared:
            return Shown(state, None, 0, self.profile)
        return Shown(state, activity, start_ms, self.profile)
