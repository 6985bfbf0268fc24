"""Presence between contract and model; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from muster.presence.v1 import presence_pb2, presence_service_pb2, scope_pb2

from muster_presence.model import Activity, Profile, Role, ScopeId, ScopeKind
from muster_presence.model_channels import Line
from muster_presence.settings import PresenceServiceSettings
from muster_presence.usecases_access import Place
from muster_presence.usecases_beats import UserBeat
from muster_presence.usecases_reads import Counts

_FOR_FRIENDS: Final = (
    presence_pb2.ACTIVITY_AUDIENCE_FRIENDS,
    presence_pb2.ACTIVITY_AUDIENCE_SCOPE_AND_FRIENDS,
)


def place(scope: scope_pb2.Scope, *, field: str = "scope") -> Place:
    """Return a scope of a request."""
    return Place(ScopeKind(scope.kind), scope.scope_id, field=field)


def places(scopes: Sequence[scope_pb2.Scope]) -> list[Place]:
    """Return the scopes of a request."""
    return [place(scope, field=f"scopes[{index}]") for index, scope in enumerate(scopes)]


def entries(scopes: Sequence[scope_pb2.ScopeEntry]) -> list[Place]:
    """Return the scopes of a request, with the proofs that one may be there."""
    return [
        Place(
            ScopeKind(entry.scope.kind),
            entry.scope.scope_id,
            ticket=entry.ticket,
            field=f"scopes[{index}].scope",
            channel=entry.channel,
        )
        for index, entry in enumerate(scopes)
    ]


def activity(message: presence_pb2.Activity) -> Activity:
    """Return an activity; since when is for the server to say."""
    kept = presence_pb2.Activity()
    kept.CopyFrom(message)
    kept.ClearField("start_time")
    return Activity(
        message.kind,
        message.target_id,
        kept.SerializeToString(),
        is_shared=message.audience != presence_pb2.ACTIVITY_AUDIENCE_FRIENDS,
        for_friends=message.audience in _FOR_FRIENDS,
    )


def activity_in(
    request: presence_service_pb2.ConnectRequest
    | presence_service_pb2.HeartbeatRequest
    | presence_service_pb2.SetActivityRequest
    | presence_service_pb2.UserBeat,
) -> Activity | None:
    """Return the activity of a request, None when it has none."""
    return activity(request.activity) if request.HasField("activity") else None


def user_beat(message: presence_service_pb2.UserBeat) -> UserBeat:
    """Return a beat of a batch."""
    role = Role(message.role) if message.role else Role.PARTICIPANT
    return UserBeat(
        user_id=message.user_id,
        device_id=message.device_id,
        place=place(message.scope),
        profile=Profile(message.display_name, role, message.participant_id),
        is_away=message.away,
        activity=activity_in(message),
        is_last=message.leave,
    )


def lease(
    settings: PresenceServiceSettings,
    held: Mapping[ScopeId, Line],
    now: datetime,
    *,
    has_stream: bool = False,
) -> presence_pb2.Lease:
    """Return the lease of a device that has just beaten, or that has a stream.

    In several scopes it goes by the one that asks for most.
    """
    usual = settings.times
    times = [line.times(usual) for line in held.values()] or [usual]
    stream_lease = timedelta(milliseconds=settings.timing.stream_lease_ms)
    lasts = min((stream_lease if has_stream else each.stale_after) + each.return_grace for each in times)
    told = presence_pb2.Lease()
    told.CopyFrom(
        _lease_in(
            min(each.beat_interval for each in times), min(each.stale_after for each in times), tuple(held)
        )
    )
    told.expire_time.FromDatetime(now + lasts)
    return told


@lru_cache(maxsize=1024)
def _lease_in(
    next_beat_delay: timedelta, stale_after: timedelta, scopes: tuple[ScopeId, ...]
) -> presence_pb2.Lease:
    """Return what leases have in common, not to be changed."""
    return presence_pb2.Lease(
        next_beat_delay=next_beat_delay,
        stale_after=stale_after,
        scopes=[scope_message(scope) for scope in scopes],
    )


def scope_message(scope: ScopeId) -> scope_pb2.Scope:
    """Return a scope as the contract has it."""
    return scope_pb2.Scope(kind=scope_pb2.ScopeKind.Name(scope.kind), scope_id=scope.scope_id)


def presence(packed: bytes, user_id: str, scope: ScopeId) -> presence_pb2.Presence:
    """Return a presence; who is not here is OFFLINE."""
    if packed:
        return presence_pb2.Presence.FromString(packed)
    return presence_pb2.Presence(
        user_id=user_id, scope=scope_message(scope), state=presence_pb2.PRESENCE_STATE_OFFLINE
    )


def snapshot(people: Sequence[bytes]) -> bytes:
    """Return a snapshot, serialized: people by name."""
    shown = [presence_pb2.Presence.FromString(packed) for packed in people]
    shown.sort(key=lambda one: (one.display_name, one.user_id))
    return presence_pb2.ScopeSnapshot(people=shown).SerializeToString()


def view(counted: Counts) -> bytes:
    """Return a view of counts, serialized."""
    message = presence_pb2.ScopeView(version=counted.version, counts=counts(counted))
    return message.SerializeToString()


def counts(counted: Counts) -> presence_pb2.PresenceCounts:
    """Return counts as the contract has them."""
    message = presence_pb2.PresenceCounts(total_count=counted.total, device_count=counted.devices)
    for role, count in counted.roles:
        message.roles.add(role=scope_pb2.PresenceRole.Name(role), count=count)
    for state, count in counted.states:
        message.states.add(state=presence_pb2.PresenceState.Name(state), count=count)
    for (kind, target_id), count in counted.activities:
        message.activities.add(kind=kind, target_id=target_id, count=count)
    return message
