"""Presence as friends see it: in the organization, with what is for friends from any room."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from muster.presence.v1.presence_pb2 import Presence
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, Scope
from muster_kit.clock import Clock
from muster_kit.redis_scripts import require, run_all
from redis.asyncio import Redis

from muster_presence.model import ScopeId, ScopeKind, Timing
from muster_presence.scope_keys import ScopeCommands, scope_script
from muster_presence.store_redis_places import read_places
from muster_presence.usecases_friend_sight import Look

_HOME: Final = Scope(kind=SCOPE_KIND_ORGANIZATION)
_PEOPLE_A_SCRIPT: Final = 200
"""Redis does nothing else while a script runs."""

_PEOPLE_A_CALL: Final = 1000


class RedisFriendPresence:
    """`FriendPresence` over the index: each person is looked for where their devices may be."""

    def __init__(self, redis: Redis, clock: Clock, timing: Timing) -> None:
        self._redis = redis
        self._commands = ScopeCommands(clock, timing)
        self._script = scope_script("friendly")

    async def seen(self, organization_id: str, user_ids: Sequence[str]) -> Mapping[str, Look]:
        """Return how those of the people are seen who are here."""
        found: dict[str, Look] = {}
        for start in range(0, len(user_ids), _PEOPLE_A_CALL):
            found |= await self._look(organization_id, user_ids[start : start + _PEOPLE_A_CALL])
        return found

    async def _look(self, organization_id: str, user_ids: Sequence[str]) -> dict[str, Look]:
        by_scope = await self._places(organization_id, user_ids)
        parts = [
            (scope, people[start : start + _PEOPLE_A_SCRIPT])
            for scope, people in by_scope.items()
            for start in range(0, len(people), _PEOPLE_A_SCRIPT)
        ]
        commands = [self._commands.make(self._script, scope, *people) for scope, people in parts]
        sights: defaultdict[str, list[_Seen]] = defaultdict(list)
        for (scope, people), command, reply in zip(
            parts, commands, await run_all(self._redis, commands), strict=True
        ):
            flat = require(command, reply)
            for user_id, packed, since in zip(people, flat[::2], flat[1::2], strict=True):
                if packed:
                    sights[user_id].append(_Seen(since, scope.key, Presence.FromString(packed)))
        return {user_id: _together(each) for user_id, each in sights.items()}

    async def _places(self, organization_id: str, user_ids: Sequence[str]) -> dict[ScopeId, list[str]]:
        # Services put people into the organization without anybody keeping where.
        by_scope = {ScopeId(organization_id, ScopeKind.ORGANIZATION): list(user_ids)}
        found = await read_places(self._redis, organization_id, user_ids)
        for user_id, places in found.items():
            for scope in {scope for _, scope in places}:
                if scope.kind is not ScopeKind.ORGANIZATION:
                    by_scope.setdefault(scope, []).append(user_id)
        return by_scope


class _Seen(NamedTuple):
    """What is seen of somebody in one scope; since when of the activity, 0 for none."""

    since_ms: int
    scope_key: str
    presence: Presence


def _together(sights: Sequence[_Seen]) -> Look:
    """Return one presence in the organization of what is seen of a person in several scopes.

    The newest activity counts, and the best state. Who is in a room alone is shown without what they are
    there: that is for those in the room.
    """
    # Of several that are as new, always the same one.
    newest = max(sights, key=lambda seen: (seen.since_ms, seen.scope_key))
    at_home = [seen for seen in sights if seen.presence.scope == _HOME]
    shown = Presence()
    shown.CopyFrom((at_home or [newest])[0].presence)
    if not at_home:
        shown.scope.CopyFrom(_HOME)
        shown.ClearField("role")
        shown.ClearField("participant_id")
    shown.state = min(seen.presence.state for seen in sights)
    shown.ClearField("activity")
    if newest.since_ms:
        shown.activity.CopyFrom(newest.presence.activity)
    presence = shown.SerializeToString()
    # That somebody is still there is no news.
    for field in ("last_activity_time", "last_seen_time", "device_count"):
        shown.ClearField(field)
    return Look(presence, shown.SerializeToString())
