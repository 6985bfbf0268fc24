"""The index in Redis, as the ledger is held against it."""

from collections.abc import Collection, Sequence
from typing import Final

from muster_kit.clock import Clock
from muster_kit.redis_scripts import answer, has_failed, run, run_all
from redis.asyncio import Redis

from muster_presence.model import ScopeId, Timing
from muster_presence.model_intervals import Trace, time_of_ms
from muster_presence.scope_keys import ScopeCommands, scope_script
from muster_presence.store_ledger import Comings
from muster_presence.store_redis import SCOPES, interval_of

_SCOPES_A_LOOK: Final = 200


class RedisLedgerIndex:
    """`LedgerIndex` over the scopes of a Redis."""

    def __init__(self, redis: Redis, clock: Clock, timing: Timing) -> None:
        self._redis = redis
        self._commands = ScopeCommands(clock, timing)
        self._lasting, self._coming = map(scope_script, ("lasting", "coming"))
        self._cursor = 0

    async def some_scopes(self) -> Collection[ScopeId]:
        """Return the next few scopes; in many calls, all of them."""
        self._cursor, found = await answer(
            self._redis.zscan(SCOPES, self._cursor, count=_SCOPES_A_LOOK, score_cast_func=bytes)
        )
        return {ScopeId.of_key(key.decode()) for key, _ in found}

    async def orders(self, scopes: Sequence[ScopeId]) -> Sequence[int]:
        """Return the order that a fact would have now, of each scope; sweeps know of all of them after it.

        They know already, but for a cluster of which the node that tells them has lost what others keep.
        """
        commands = [self._commands.make(self._lasting, scope) for scope in scopes]
        replies = await run_all(self._redis, commands)
        orders, due_ms = [], {}
        for scope, command, reply in zip(scopes, commands, replies, strict=True):
            # Of one that fails nothing is known, so that it is looked at, and fails by itself.
            order, due = (0, 0) if has_failed(command, reply) else reply
            orders.append(order)
            if due:
                due_ms[scope.key] = due
        if due_ms:
            await answer(self._redis.zadd(SCOPES, due_ms, lt=True))
        return orders

    async def traces(self, scope: ScopeId, user_ids: Sequence[str]) -> tuple[int, Sequence[Trace | None]]:
        """Return the order, and what is known of people; None for nothing."""
        order, _, *flat = await run(self._redis, self._commands.make(self._lasting, scope, *user_ids))
        found = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return order, [
            Trace(bool(is_here), time_of_ms(enter_ms), time_of_ms(seen_ms)) if enter_ms else None
            for is_here, enter_ms, seen_ms in found
        ]

    async def comings(self, scope: ScopeId, *, after: int, limit: int) -> Comings:
        """Return who is here, in order of coming, with staff."""
        command = self._commands.make(self._coming, scope, after, limit)
        _, next_after, facts = await run(self._redis, command)
        return Comings([interval_of(fact) for fact in facts], next_after)
