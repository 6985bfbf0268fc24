"""Presence in Redis: each scope is changed by scripts alone, which also write and publish its events."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, TypeVar

from muster_kit.clock import Clock
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_scripts import Argument, answer, has_failed, run, run_all
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from muster_presence.model import Cause, Role, ScopeId, State, Step, Timing, Verb
from muster_presence.model_channels import MAIN
from muster_presence.scope_keys import SCHEMA, ScopeCommands, scope_script
from muster_presence.store import (
    Device,
    Interval,
    NoteActivity,
    NoteDoing,
    NoteIntervals,
    PeoplePage,
    Result,
    Spot,
    Tallies,
    Tally,
)
from muster_presence.store_redis_places import read_places
from muster_presence.store_redis_steps import (
    TAKEN_CODES,
    Places,
    activity_of,
    lasts_ms,
    packed_argument,
    packed_steps,
    results_of,
)

T = TypeVar("T")

SCOPES: Final = f"muster:{SCHEMA}:scopes"
"""Scopes by when something in them runs out at the latest: what a sweep goes by."""

_ACTS: Final = frozenset({Verb.BEAT, Verb.TOUCH, Verb.HOLD, Verb.CALL})
"""These say that the person does something, unless they are away."""

_CLAIM_MS: Final = 5_000
"""Whoever begins to sweep a scope and crashes leaves it to others after so long."""

_STEPS_A_SCRIPT: Final = 200
_DEVICES_A_SCRIPT: Final = 500
_PEOPLE_A_SWEEP: Final = 200
_PEOPLE_A_LOOK: Final = 500
"""Redis does nothing else while a script runs: these keep each to some milliseconds."""


class RedisPresence:
    """The PresenceIndex. What happens in a scope is told by the channels of its two rooms."""

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        timing: Timing,
        *,
        note: NoteIntervals | None = None,
        note_activity: NoteActivity | None = None,
        note_doing: NoteDoing | None = None,
    ) -> None:
        """`note` is told who came and went, by whichever process noticed; `note_activity` who acts.

        `note_doing` is told what renewed devices have said, wherever that was.
        """
        self._redis = redis
        self._note = note
        self._note_activity = note_activity
        self._note_doing = note_doing
        self._timing = timing
        self._commands = ScopeCommands(clock, timing)
        names = ("change", "renew", "sweep", "people", "named", "counts")
        self._change, self._renew, self._sweep, self._people, self._named, self._counts = map(
            scope_script, names
        )

    async def change(
        self, steps: Mapping[ScopeId, Sequence[Step]]
    ) -> Mapping[ScopeId, Sequence[Result] | MusterError]:
        """Take steps of several scopes, in order within each, in one round trip."""
        now_ms = self._commands.now_ms()
        parts = list(_parts(steps, _STEPS_A_SCRIPT))
        commands = [
            self._commands.make(self._change, scope, packed_steps(part), now_ms=now_ms)
            for scope, part in parts
        ]
        due_ms = {scope.key: now_ms + self._shortest_ms(each) for scope, each in steps.items()}
        # After the steps, so that a sweep in between does not take the scope off for good.
        replies = await run_all(self._redis, commands, follow=partial(_register, due_ms=due_ms))
        taken: dict[ScopeId, list[Result] | MusterError] = {scope: [] for scope in steps}
        places = Places()
        for (scope, part), command, reply in zip(parts, commands, replies, strict=True):
            results = taken[scope]
            if isinstance(results, MusterError):
                continue
            if has_failed(command, reply):
                # The other scopes' people are not to blame.
                taken[scope] = MusterError(Reason.INTERNAL, detail=f"script {command.script.name}: {reply}")
                continue
            _, wanted, facts, codes = reply
            self._tell(scope, facts)
            results += results_of(part, codes, wanted)
            places.note(scope, part, codes)
            self._tell_activities(scope, part, codes, now_ms)
        await places.keep(self._redis, now_ms)
        return taken

    async def renew(self, holder: str, devices: Mapping[ScopeId, Sequence[Device]]) -> Sequence[Spot]:
        """Renew leases; return the devices that have to be held anew."""
        now_ms = self._commands.now_ms()
        parts = list(_parts(devices, _DEVICES_A_SCRIPT))
        commands = [
            self._commands.make(
                self._renew, scope, holder, packed_argument(list(chain.from_iterable(part))), now_ms=now_ms
            )
            for scope, part in parts
        ]
        due_ms = {scope.key: now_ms + lasts_ms(Verb.RENEW, None, self._timing) for scope in devices}
        replies = await run_all(self._redis, commands, follow=partial(_register, due_ms=due_ms))
        lost: list[Spot] = []
        for (scope, part), command, reply in zip(parts, commands, replies, strict=True):
            places, doings = (range(len(part)), ()) if has_failed(command, reply) else reply
            lost += [Spot(scope, *part[place]) for place in places]
            for place, is_away, *doing in doings:
                if self._note_doing is not None:
                    self._note_doing(Spot(scope, *part[place]), activity_of(*doing), bool(is_away))
        return lost

    async def ping(self) -> None:
        """Return when Redis answers."""
        await answer(self._redis.ping())

    async def sweep(self, *, most_scopes: int) -> bool:
        """Let go of what has run out, wherever that is; False when there may be more."""
        now_ms = self._commands.now_ms()
        found: list[bytes] = await answer(
            self._redis.zrangebyscore(SCOPES, "-inf", now_ms, start=0, num=most_scopes)
        )
        if not found:
            return True
        await answer(self._redis.zadd(SCOPES, dict.fromkeys(found, now_ms + _CLAIM_MS), xx=True))
        scopes = [ScopeId.of_key(key.decode()) for key in found]
        due = await self._sweep_all(scopes, now_ms)
        if empty := [scope for scope in scopes if not due[scope]]:
            await answer(self._redis.zrem(SCOPES, *(scope.key for scope in empty)))
            # Whoever came before it was removed is found now; who comes later registers after us.
            due |= await self._sweep_all(empty, now_ms)
        if again := {scope.key: at for scope, at in due.items() if at}:
            await answer(self._redis.zadd(SCOPES, again, lt=True))
        return len(found) < most_scopes and all(not at or at > now_ms for at in due.values())

    async def people(
        self,
        scope: ScopeId,
        *,
        after: int = 0,
        limit: int,
        with_staff: bool,
        kind: str = "",
        target_id: str = "",
    ) -> PeoplePage | None:
        """Return who is here, in order of coming."""
        wanted = (after, limit, _PEOPLE_A_LOOK, int(with_staff), kind, target_id)
        exists, page = await self._look(scope, *wanted)
        return page if exists else None

    async def snapshot(self, scope: ScopeId, *, limit: int, with_staff: bool) -> PeoplePage:
        """Return the first people of a scope at one moment of its log."""
        # Some of them may be staff, who are looked at for nothing.
        _, page = await self._look(scope, 0, limit, limit + _PEOPLE_A_LOOK, int(with_staff), "", "")
        return page

    async def named(
        self, scope: ScopeId, user_ids: Sequence[str], *, with_staff: bool
    ) -> Sequence[bytes] | None:
        """Return presences in the order of the ids, empty for who is not here or not to be seen."""
        command = self._commands.make(self._named, scope, int(with_staff), *user_ids)
        exists, *presences = await run(self._redis, command)
        return presences if exists else None

    async def tallies(self, scope: ScopeId) -> Tallies | None:
        """Return what counts are made of."""
        exists, version, *flat = await run(self._redis, self._commands.make(self._counts, scope))
        counted = {field: int(count) for field, count in zip(flat[::2], flat[1::2], strict=True)}
        tallies = [
            _tally(field[1:], count, counted.get(b"d" + field[1:], 0))
            for field, count in counted.items()
            if field.startswith(b"p")
        ]
        return Tallies(version, tallies, _channels(counted, tallies)) if exists else None

    async def places(self, organization_id: str, user_id: str, device_id: str) -> Sequence[ScopeId]:
        """Return where a device may be; it may have left or vanished there."""
        found = await read_places(self._redis, organization_id, [user_id])
        return [scope for device, scope in found[user_id] if device == device_id]

    async def whereabouts(
        self, organization_id: str, user_ids: Sequence[str]
    ) -> Mapping[str, Collection[ScopeId]]:
        """Return where people may be with any device, by their ids, in one round trip."""
        found = await read_places(self._redis, organization_id, user_ids)
        return {user_id: {scope for _, scope in places} for user_id, places in found.items()}

    async def _look(self, scope: ScopeId, *wanted: Argument) -> tuple[bool, PeoplePage]:
        exists, seq, next_after, *flat = await run(
            self._redis, self._commands.make(self._people, scope, *wanted)
        )
        return bool(exists), PeoplePage(seq, list(zip(flat[1::2], flat[::2], strict=True)), next_after)

    async def _sweep_all(self, scopes: Sequence[ScopeId], now_ms: int) -> dict[ScopeId, int]:
        commands = [
            self._commands.make(self._sweep, scope, _PEOPLE_A_SWEEP, now_ms=now_ms) for scope in scopes
        ]
        due = {}
        for scope, command, reply in zip(scopes, commands, await run_all(self._redis, commands), strict=True):
            if has_failed(command, reply):
                # The others are swept all the same.
                due[scope] = now_ms + _CLAIM_MS
                continue
            due[scope], facts = reply
            self._tell(scope, facts)
        return due

    def _shortest_ms(self, steps: Sequence[Step]) -> int:
        verbs = {step.verb for step in steps}
        lines = {step.line for step in steps}
        return min(lasts_ms(verb, line, self._timing) for verb in verbs for line in lines)

    def _tell_activities(
        self, scope: ScopeId, steps: Sequence[Step], codes: Sequence[int], now_ms: int
    ) -> None:
        if self._note_activity is None:
            return
        active = [
            (step.user_id, enter_ms)
            for step, code, enter_ms in zip(steps, codes[::2], codes[1::2], strict=True)
            if code in TAKEN_CODES and step.verb in _ACTS and not step.is_away
        ]
        if active:
            self._note_activity(scope, active, now_ms)

    def _tell(self, scope: ScopeId, facts: Sequence[Sequence[Any]]) -> None:
        if self._note is not None and facts:
            self._note(scope, [interval_of(fact) for fact in facts])


def _register(pipeline: Pipeline, *, due_ms: Mapping[str, int]) -> None:
    pipeline.zadd(SCOPES, due_ms, lt=True)


def _parts(of_scopes: Mapping[ScopeId, Sequence[T]], size: int) -> Iterator[tuple[ScopeId, Sequence[T]]]:
    for scope, each in of_scopes.items():
        for start in range(0, len(each), size):
            yield scope, each[start : start + size]


def interval_of(fact: Sequence[Any]) -> Interval:
    user_id, name, role, seat, enter_ms, leave_ms, cause, last_activity_ms, order = fact
    return Interval(
        user_id=user_id.decode(),
        display_name=name.decode(),
        role=Role(role),
        participant_id=seat.decode(),
        enter_ms=enter_ms,
        last_activity_ms=last_activity_ms,
        order=order,
        leave_ms=leave_ms or None,
        cause=Cause(cause) if cause else None,
    )


def _channels(counted: Mapping[bytes, int], tallies: Sequence[Tally]) -> Mapping[str, tuple[int, int]]:
    """Return devices and last activities by channel; who is on no other is on the main one."""
    devices = {field[1:].decode(): count for field, count in counted.items() if field.startswith(b"c")}
    devices[MAIN] = sum(tally.devices for tally in tallies) - sum(devices.values())
    acted = {field[1:].decode(): time_ms for field, time_ms in counted.items() if field.startswith(b"l")}
    return {name: (devices.get(name, 0), acted.get(name, 0)) for name in devices.keys() | acted.keys()}


def _tally(combination: bytes, people: int, devices: int) -> Tally:
    key = combination[2:].decode()
    kind, _, target_id = key.partition("\0")
    activity = (kind, target_id) if key else None
    return Tally(Role(combination[0]), State(combination[1]), activity, people, devices)
