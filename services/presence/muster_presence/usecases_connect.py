"""Open streams: whoever has one is here, and nobody has to do anything for it."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import structlog
from muster_kit.caller import Caller
from muster_kit.errors import MusterError
from muster_kit.streams.background import Background

from muster_presence.model import Activity, Outcome, ScopeId, Step, Verb
from muster_presence.model_channels import USUAL, Line
from muster_presence.store import Device, PresenceIndex, Result, Spot
from muster_presence.usecases_access import Doors, Place
from muster_presence.usecases_beats import Said
from muster_presence.usecases_steps import StepQueue

_RENEW_SECONDS: Final = 5.0
"""A third of how long the index takes a process for living."""

_DEVICES_A_CALL: Final = 1000
"""The index does nothing else while it takes a call."""

_OwnDevice: TypeAlias = tuple[str, str, str]
"""Organization, user and device."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Hold:
    """A spot that streams of this process hold; `step` says what to tell an index that has lost it."""

    step: Step
    streams: int = 0


@dataclass(slots=True, eq=False)
class Connection:
    """One open stream and its device, and what it holds by now."""

    device: _OwnDevice
    holds: dict[Spot, _Hold] = field(default_factory=dict)

    @property
    def lines(self) -> Mapping[ScopeId, Line]:
        """Where the device is, and how it is kept track of there."""
        return {spot.scope: hold.step.line or USUAL for spot, hold in self.holds.items()}


class Connections:
    """The devices that have a stream in this process.

    One task renews them all, with few calls; a stream has neither a task nor a timer of its own. When the
    last stream of a device ends without a goodbye, the grace begins in which it may return, here or
    elsewhere. When the process goes away, its devices stay as long as if it had been killed, so that
    clients have the time to come back that they were told.
    """

    def __init__(self, queue: StepQueue, index: PresenceIndex, doors: Doors, *, holder: str) -> None:
        """`holder` names this process, and never another one."""
        self._queue = queue
        self._index = index
        self._doors = doors
        self._holder = holder
        self._held: dict[Spot, _Hold] = {}
        # Of each device nearly always one: thousands of sets would be larger.
        self._open: dict[_OwnDevice, tuple[Connection, ...]] = {}
        self._background = Background()
        self._is_draining = False

    def hold(self, caller: Caller, said: Said, places: Sequence[Place]) -> "Stay":
        """Be in the places, or at home without any, from entering the context until it ends.

        Entering raises what `Doors.enter` raises, and what `StepQueue.submit` does.
        """
        return Stay(self, caller, said, places)

    async def begin(self, caller: Caller, said: Said, places: Sequence[Place]) -> Connection:
        """Hold the devices' spots for a stream; they are to be let go with `end`."""
        entered = [await self._doors.enter(caller, place) for place in places or [self._doors.home(caller)]]
        steps = {
            presence.scope: said.step(Verb.HOLD, caller, presence, holder=self._holder)
            for presence in entered
        }
        device = (caller.organization_id, caller.subject, said.device_id)
        connection = Connection(device)
        self._open[device] = (*self._open.get(device, ()), connection)
        try:
            # Held before the index is asked: who is cancelled meanwhile lets go of what it was given.
            for scope, step in steps.items():
                self._take(connection, scope, step)
            opened = list(connection.holds.items())
            results = await self._queue.submit(list(steps.items()))
        except BaseException:
            self.end(connection)
            raise
        for (spot, hold), result in zip(opened, results, strict=True):
            self._learn(spot, hold, result)
        return connection

    def end(self, connection: Connection) -> None:
        """Let go of what a stream has held."""
        left = tuple(each for each in self._open[connection.device] if each is not connection)
        if left:
            self._open[connection.device] = left
        else:
            del self._open[connection.device]
        self._let_go(connection)

    def adopt(self, scope: ScopeId, step: Step) -> Step:
        """Return the step to take for a beat: a device that has a stream here is held from then on."""
        connections = self._open.get((scope.organization_id, step.user_id, step.device_id))
        if not connections:
            return step
        spot = Spot(scope, step.user_id, step.device_id)
        step = replace(step, verb=Verb.HOLD, holder=self._holder)
        for connection in connections:
            hold = connection.holds.get(spot)
            if hold is None or self._held.get(spot) is not hold:
                self._take(connection, scope, step)
        return step

    def hear(self, spot: Spot, activity: Activity | None, is_away: bool) -> None:
        """Take in what a device does by now, for an index that loses it."""
        if hold := self._held.get(spot):
            hold.step = replace(hold.step, activity=activity, keeps_activity=False, is_away=is_away)

    def drain(self) -> None:
        """Leave the devices to their leases from now on."""
        self._is_draining = True

    async def keep_renewing(self) -> None:
        """Renew all leases every few seconds until cancelled."""
        was_away = False
        while True:
            # Not all processes at once.
            await asyncio.sleep(_RENEW_SECONDS * random.uniform(0.8, 1))  # noqa: S311 - spreads load
            try:
                await self._renew()
                was_away = False
            except MusterError as error:
                if not was_away:
                    _log.warning("leases_not_renewed", error=str(error))
                was_away = True
            except Exception:  # noqa: BLE001 - no fault may end what all streams rely on
                _log.exception("leases_not_renewed")

    async def close(self) -> None:
        """Stop telling the index of streams that ended."""
        await self._background.close()

    def _take(self, connection: Connection, scope: ScopeId, step: Step) -> None:
        spot = Spot(scope, step.user_id, step.device_id)
        hold = self._held.get(spot)
        if hold is None:
            hold = self._held[spot] = _Hold(step)
        else:
            hold.step = replace(step, enter_ms=hold.step.enter_ms)
        hold.streams += 1
        connection.holds[spot] = hold

    def _let_go(self, connection: Connection) -> None:
        closed = []
        for spot, hold in connection.holds.items():
            hold.streams -= 1
            # Not when it said goodbye, or when that was so and another stream has taken its place.
            if not hold.streams and self._held.get(spot) is hold:
                del self._held[spot]
                closed.append((spot.scope, replace(hold.step, verb=Verb.CLOSE)))
        if closed and not self._is_draining:
            self._background.spawn(self._close(closed), name="close_devices")

    async def _close(self, closed: Sequence[tuple[ScopeId, Step]]) -> None:
        # The queue keeps the order: whoever comes back at once holds the device after this.
        still = [
            (scope, step)
            for scope, step in closed
            if Spot(scope, step.user_id, step.device_id) not in self._held
        ]
        try:
            if still:
                await self._queue.submit(still)
        except MusterError as error:
            # Their leases run out by themselves.
            _log.info("devices_not_closed", detail=str(error))

    async def _renew(self) -> None:
        held = list(self._held)
        for start in range(0, len(held), _DEVICES_A_CALL):
            by_scope: defaultdict[ScopeId, list[Device]] = defaultdict(list)
            for spot in held[start : start + _DEVICES_A_CALL]:
                if spot in self._held:
                    by_scope[spot.scope].append((spot.user_id, spot.device_id))
            if by_scope and (lost := await self._index.renew(self._holder, by_scope)):
                await self._hold_anew(lost)

    async def _hold_anew(self, lost: Sequence[Spot]) -> None:
        """Tell an index that does not know of spots, unless they were let go since it was asked."""
        still = [(spot, self._held[spot]) for spot in lost if spot in self._held]
        steps = [(spot.scope, replace(hold.step, verb=Verb.RENEW, sequence=0)) for spot, hold in still]
        for (spot, hold), result in zip(still, await self._queue.submit(steps), strict=True):
            self._learn(spot, hold, result)

    def _learn(self, spot: Spot, hold: _Hold, result: Result) -> None:
        outcome, enter_ms, _ = result
        if outcome is Outcome.TAKEN:
            # The step is this hold's alone.
            hold.step = replace(hold.step, enter_ms=enter_ms)
        elif self._held.get(spot) is hold:
            # It said goodbye, perhaps elsewhere, while the stream is open, or before it was heard of.
            del self._held[spot]


class Stay:
    """A stream's being in its places, as an async context manager.

    A class, since it lasts as long as the stream: a generator that makes one keeps a kilobyte more.
    """

    __slots__ = ("_asked", "_connection", "_connections")

    def __init__(self, connections: Connections, caller: Caller, said: Said, places: Sequence[Place]) -> None:
        self._connections = connections
        self._asked = (caller, said, places)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        """Come."""
        asked = self._asked
        # Nobody asks again, and it would be kept as long as the stream.
        del self._asked
        connection = self._connection = await self._connections.begin(*asked)
        return connection

    async def __aexit__(self, *_: object) -> None:
        """Go."""
        if self._connection is not None:
            self._connections.end(self._connection)
