"""Erases people from the index."""

from collections.abc import Collection

from muster_kit.clock import Clock
from muster_kit.redis_scripts import answer, run
from redis.asyncio import Redis

from muster_presence.model import ScopeId, Timing
from muster_presence.scope_keys import ScopeCommands, places_key, scope_script
from muster_presence.store_redis_places import read_places


class RedisForgetting:
    """`Forgetting` over the scopes of a Redis."""

    def __init__(self, redis: Redis, clock: Clock, timing: Timing) -> None:
        self._redis = redis
        self._commands = ScopeCommands(clock, timing)
        self._forget = scope_script("forget")

    async def places(self, organization_id: str, user_id: str) -> Collection[ScopeId]:
        """Return where any device of someone may be."""
        found = await read_places(self._redis, organization_id, [user_id])
        return {scope for _, scope in found[user_id]}

    async def forget(self, organization_id: str, user_id: str, scopes: Collection[ScopeId]) -> None:
        """Let someone go from scopes, and forget who and where they were."""
        for scope in scopes:
            # The ledger is not told: it has been erased from already.
            await run(self._redis, self._commands.make(self._forget, scope, user_id))
        await answer(self._redis.delete(places_key(organization_id, user_id)))
