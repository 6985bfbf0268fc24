"""Where a scope is in Redis, and which rooms of the hub it is."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from muster.presence.v1 import scope_pb2
from muster_kit.clock import Clock
from muster_kit.redis_scripts import Argument, Command, Script
from muster_kit.streams.publisher import channel_of, encode_signal

from muster_presence.model import ScopeId, ScopeKind, Timing

SCHEMA: Final = "presence"
KEPT_EVENTS: Final = 2048
"""So many events of a scope can be read again; whoever is further behind begins anew."""

KEEP_MS: Final = 24 * 3600 * 1000
"""A scope in which nothing happens for so long is forgotten."""

_NAMES: Final = ("people", "due", "order", "log", "state", "counts")
_SCRIPTS: Final = Path(__file__).parent / "scripts"
_STAFF: Final = "staff/"
_OTHERS: Final = "others/"
_BELL: Final = "friends-bell/"


def room_of(scope: ScopeId, *, with_staff: bool) -> str:
    """Return the hub's room of a scope: with its staff, or as others see it."""
    return (_STAFF if with_staff else _OTHERS) + scope.key


def scope_of(room_id: str) -> tuple[ScopeId, bool]:
    """Return the scope of a room, and whether with its staff."""
    with_staff = room_id.startswith(_STAFF)
    return ScopeId.of_key(room_id.removeprefix(_STAFF if with_staff else _OTHERS)), with_staff


def bell_room(organization_id: str) -> str:
    """Return the hub's room of an organization in which those who watch friends are called."""
    return f"{_BELL}{organization_id}"


def bell_call(organization_id: str, user_ids: Iterable[str]) -> tuple[str, bytes]:
    """Return the channel and the message that have people looked at by their friends, as scripts send it."""
    ids = b"\0".join(user_id.encode() for user_id in user_ids)
    return channel_of(SCHEMA, bell_room(organization_id)), encode_signal(b"p" + ids)


def bell_of(room_id: str) -> str | None:
    """Return the organization of such a room; None for another room."""
    return room_id.removeprefix(_BELL) if room_id.startswith(_BELL) else None


@lru_cache(maxsize=4096)
def keys_of(scope: ScopeId) -> tuple[str, ...]:
    """Return the keys of a scope; they share a hash tag, so that they live on one node of a cluster."""
    return tuple(f"muster:{SCHEMA}:{{{scope.key}}}:{name}" for name in _NAMES)


@lru_cache(maxsize=4096)
def _channels_of(scope: ScopeId) -> tuple[str, str]:
    others, staff = (channel_of(SCHEMA, room_of(scope, with_staff=each)) for each in (False, True))
    return others, staff


@lru_cache(maxsize=4096)
def _message_of(scope: ScopeId) -> bytes:
    kind = scope_pb2.ScopeKind.Name(scope.kind)
    return scope_pb2.Scope(kind=kind, scope_id=scope.scope_id).SerializeToString()


def places_key(organization_id: str, user_id: str) -> str:
    """Return the key of where the devices of a person may be: device and scope, with NUL between them."""
    return f"muster:{SCHEMA}:places:{{{len(organization_id)}:{organization_id}:{user_id}}}"


def scope_script(name: str) -> Script:
    """Return a script that works on one scope."""
    return Script(_SCRIPTS, "scope", name)


def new_epoch() -> int:
    """Return what a new life of a scope is told by; its staff sees that number plus one."""
    return secrets.randbits(62) << 1


@dataclass(frozen=True, slots=True)
class ScopeCommands:
    """Makes commands of scripts, with what all of them need to know."""

    clock: Clock
    timing: Timing

    def now_ms(self) -> int:
        """Return the time of the steps that are taken now."""
        return int(self.clock.now().timestamp() * 1000)

    def make(
        self, script: Script, scope: ScopeId, *arguments: Argument, now_ms: int | None = None
    ) -> Command:
        """Return a command on one scope."""
        timing = self.timing
        head: list[Argument] = [
            self.now_ms() if now_ms is None else now_ms,
            _message_of(scope),
            new_epoch().to_bytes(8, "big"),
            *_channels_of(scope),
            timing.stale_after_ms,
            timing.return_grace_ms,
            timing.stream_lease_ms,
            timing.memory_ms,
            KEPT_EVENTS,
            KEEP_MS,
            channel_of(SCHEMA, bell_room(scope.organization_id)),
            int(scope.kind is ScopeKind.ORGANIZATION),
        ]
        return Command(script, keys_of(scope), [*head, *arguments])
