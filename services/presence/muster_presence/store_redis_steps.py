"""Steps as the script takes them, what it says of each, and where the devices of people may be."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import msgpack
from muster_kit.redis_scripts import answer
from redis.asyncio import Redis

from muster_presence.model import Activity, Outcome, ScopeId, Step, Timing, Verb
from muster_presence.model_channels import Line
from muster_presence.scope_keys import KEEP_MS, bell_call, places_key
from muster_presence.store import Result

_MOST_PLACES: Final = 64
_MILLISECOND: Final = timedelta(milliseconds=1)

# What the script answers a step: that its place is to be kept is said of those that are taken.
_TO_BE_KEPT: Final = 3
_OUTCOMES: Final = (Outcome.TAKEN, Outcome.LATE, Outcome.ABSENT, Outcome.TAKEN)
TAKEN_CODES: Final = frozenset({Outcome.TAKEN.value, _TO_BE_KEPT})
"""The codes of steps that were taken."""

_GOES: Final = frozenset(
    {
        (Verb.LEAVE, Outcome.TAKEN.value),
        (Verb.LEAVE, Outcome.ABSENT.value),
        (Verb.TOUCH, Outcome.ABSENT.value),
    }
)
"""After these a device is not there any more."""

_COMES: Final = frozenset({Verb.BEAT, Verb.HOLD, Verb.RENEW, Verb.TOUCH})
# Flags of a step.
_FRIENDLY: Final = 2
_KEEPS: Final = 4
_WANTS_PRESENCE: Final = 8
_WANTS_LINE: Final = 16
_AS_BEFORE: Final = (0, "", "")

# Lua knows one kind of text.
_PACKER: Final = msgpack.Packer(use_bin_type=False)


def packed_steps(steps: Iterable[Step]) -> bytes:
    """Return steps of one scope as an argument of the script."""
    flat: list[str | bytes | int] = []
    for step in steps:
        profile, activity = step.profile, step.activity
        sign, packed, key, flags = "-", b"", "", 0
        if step.keeps_activity:
            sign = "="
        elif activity is not None:
            sign, packed, key = "+", activity.packed, activity.key
            flags = activity.is_shared + 2 * activity.for_friends
        # A service's device is asked for by nobody, but where friends see what it does, they look.
        if step.verb in _COMES and (not step.of_service or flags >= _FRIENDLY):
            flags += _KEEPS
        if step.wants_presence:
            flags += _WANTS_PRESENCE
        elif step.wants_line:
            flags += _WANTS_LINE
        flat += (step.verb, step.user_id, step.device_id, f"{step.sequence:020}", step.is_away)
        if profile is None:
            flat += _AS_BEFORE
        else:
            flat += (profile.role, profile.display_name, profile.participant_id)
        line = "" if step.line is None else step.line.key
        flat += (sign, packed, key, flags, step.holder, step.enter_ms, step.cause, line)
    return packed_argument(flat)


def packed_argument(values: Sequence[str | bytes | int]) -> bytes:
    """Return many values as one argument, which a script unpacks: the client packs arguments one by one."""
    packed: bytes = _PACKER.pack(values)
    return packed


def activity_of(packed: bytes, key: bytes, audience: int) -> Activity | None:
    """Return an activity as the script gives it; None for none."""
    if not packed:
        return None
    kind, _, target_id = key.decode().partition("\0")
    return Activity(kind, target_id, packed, is_shared=audience % 2 == 1, for_friends=audience >= _FRIENDLY)


def results_of(steps: Sequence[Step], codes: Sequence[int], wanted: Sequence[bytes]) -> list[Result]:
    """Return what became of steps, of the script's codes and times and what of them was wanted."""
    told = zip(steps, codes[::2], codes[1::2], strict=True)
    if not wanted:
        return [(_OUTCOMES[code], enter_ms, b"") for _, code, enter_ms in told]
    answers = iter(wanted)
    return [
        (_OUTCOMES[code], enter_ms, next(answers) if step.wants_presence or step.wants_line else b"")
        for step, code, enter_ms in told
    ]


def lasts_ms(verb: Verb, line: Line | None, usual: Timing) -> int:
    """Return after how long at the earliest something runs out of what a step has begun."""
    grace_ms, stale_after_ms = usual.return_grace_ms, usual.stale_after_ms
    if line is not None and line.return_grace is not None:
        grace_ms = line.return_grace // _MILLISECOND
    if line is not None and line.stale_after is not None:
        stale_after_ms = line.stale_after // _MILLISECOND
    match verb:
        case Verb.BEAT | Verb.TOUCH | Verb.CALL:
            return stale_after_ms
        case Verb.HOLD | Verb.RENEW:
            return usual.stream_lease_ms + grace_ms
        case Verb.CLOSE:
            return grace_ms
        case Verb.LEAVE:
            return usual.memory_ms


class Places:
    """Where devices are from now on, and where they are not any more, for who does not say where."""

    def __init__(self) -> None:
        self._come: defaultdict[str, list[str]] = defaultdict(list)
        self._gone: defaultdict[str, list[str]] = defaultdict(list)
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, scope: ScopeId, steps: Sequence[Step], codes: Sequence[int]) -> None:
        """Note what became of steps in a scope; of several of one device the last counts."""
        for step, code in zip(steps, codes[::2], strict=True):
            if code == _TO_BE_KEPT:
                noted, other = self._come, self._gone
                if step.activity is not None and step.activity.for_friends:
                    self._seen[scope.organization_id].add(step.user_id)
            elif (step.verb, code) in _GOES and not step.of_service:
                noted, other = self._gone, self._come
            else:
                continue
            key = places_key(scope.organization_id, step.user_id)
            place = f"{'' if step.of_service else step.device_id}\0{scope.key}"
            noted[key].append(place)
            if place in other.get(key, ()):
                other[key].remove(place)

    async def keep(self, redis: Redis, now_ms: int) -> None:
        """Write it down; MusterError UNAVAILABLE."""
        if not self._come and not self._gone:
            return
        pipeline = redis.pipeline(transaction=False)
        for key, places in self._come.items():
            if places:
                pipeline.zadd(key, dict.fromkeys(places, now_ms))
                pipeline.zremrangebyrank(key, 0, -1 - _MOST_PLACES)
                pipeline.pexpire(key, KEEP_MS)
        for key, places in self._gone.items():
            if places:
                pipeline.zrem(key, *places)
        await answer(pipeline.execute())
        for organization_id, user_ids in self._seen.items():
            # Friends were called by the script, and may have looked where nothing was written yet.
            await answer(redis.publish(*bell_call(organization_id, user_ids)))
