"""The log of a scope as the hub reads it: with its staff, or as others see it."""

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from muster_kit.clock import Clock
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_scripts import Command, has_failed, require, run, run_all
from muster_kit.streams.log import Head, StoredEvent
from redis.asyncio import Redis

from muster_presence.model import ScopeId, Timing
from muster_presence.scope_keys import ScopeCommands, room_of, scope_of, scope_script

_SIZE: Final = struct.Struct(">I")

_PATIENCE: Final = 2
"""Turns of the loop in which those who come with others are waited for."""

_Beginning: TypeAlias = tuple[ScopeId, bool]
"""A scope, and whether it begins if there is none."""


class RedisScopeLog:
    """The Log of all scopes, as long as Redis keeps it.

    A scope that Redis has lost begins a new life, under a new epoch, as soon as somebody who watches it
    asks, or somebody is there. The staff's log has the same events, and an epoch of its own.
    """

    def __init__(self, redis: Redis, clock: Clock, timing: Timing) -> None:
        self._redis = redis
        self._commands = ScopeCommands(clock, timing)
        self._open, self._read = scope_script("open"), scope_script("read")
        self._beginnings: GroupCommit[_Beginning, bool] = GroupCommit(self._begin_all, patience=_PATIENCE)

    def room_of(self, scope: ScopeId, *, with_staff: bool) -> str:
        """Return the room of a scope."""
        return room_of(scope, with_staff=with_staff)

    async def begin(self, scope: ScopeId, *, begins_anew: bool) -> bool:
        """Return whether there is such a scope; with `begins_anew` there is from now on."""
        return await self._beginnings.submit((scope, begins_anew))

    async def head(self, organization_id: str, room_id: str) -> Head | None:
        """Return how far the log reaches; None when the scope is another organization's."""
        scope, _ = scope_of(room_id)
        if scope.organization_id != organization_id:
            return None
        return (await self.heads([room_id]))[room_id]

    async def heads(self, room_ids: Collection[str]) -> Mapping[str, Head]:
        """Return the same for many rooms, in one round trip; they are watched, so they begin to live."""
        commands = [self._commands.make(self._open, scope_of(room_id)[0], 1) for room_id in room_ids]
        replies = await run_all(self._redis, commands)
        return {
            room_id: _head(room_id, require(command, reply))
            for room_id, command, reply in zip(room_ids, commands, replies, strict=True)
        }

    async def read(
        self, organization_id: str, room_id: str, *, epoch: int, after_seq: int, limit: int
    ) -> Sequence[StoredEvent]:
        """Return up to `limit` events after `after_seq` in order, none when the log's epoch is another."""
        scope, with_staff = scope_of(room_id)
        own_epoch = epoch - with_staff
        if scope.organization_id != organization_id or own_epoch < 0:
            return ()
        wanted = (own_epoch.to_bytes(8, "big"), after_seq, limit)
        reply = await run(self._redis, self._commands.make(self._read, scope, *wanted))
        if reply is None:
            return ()
        first_seq, *entries = reply
        return [
            StoredEvent(seq, _seen(entry, with_staff=with_staff))
            for seq, entry in enumerate(entries, start=first_seq)
        ]

    async def _begin_all(self, asked: Sequence[_Beginning]) -> Sequence[bool | MusterError]:
        """Ask for each scope once: a whole class comes to one at the same moment."""
        begun = list(dict.fromkeys(asked))
        commands = [self._commands.make(self._open, scope, int(anew)) for scope, anew in begun]
        replies = await run_all(self._redis, commands)
        found = {
            beginning: _failure(command, reply) if has_failed(command, reply) else reply is not None
            for beginning, command, reply in zip(begun, commands, replies, strict=True)
        }
        return [found[beginning] for beginning in asked]


def _failure(command: Command, reply: object) -> MusterError:
    return MusterError(Reason.INTERNAL, detail=f"script {command.script.name}: {reply}")


def _head(room_id: str, reply: Sequence[Any]) -> Head:
    epoch, seq, first_seq = reply
    _, with_staff = scope_of(room_id)
    return Head(int.from_bytes(epoch, "big") + with_staff, seq, first_seq)


def _seen(entry: bytes, *, with_staff: bool) -> bytes:
    (size,) = _SIZE.unpack_from(entry)
    public_end = _SIZE.size + size
    return entry[public_end:] if with_staff or not size else entry[_SIZE.size : public_end]
