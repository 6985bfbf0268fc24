"""Where the devices of people may be, as the index wrote it down."""

from collections.abc import Mapping, Sequence

from muster_kit.redis_scripts import answer
from redis.asyncio import Redis

from muster_presence.model import ScopeId
from muster_presence.scope_keys import places_key


async def read_places(
    redis: Redis, organization_id: str, user_ids: Sequence[str]
) -> Mapping[str, set[tuple[str, ScopeId]]]:
    """Return devices with a scope each, by the ids of their people, in one round trip.

    MusterError UNAVAILABLE while Redis is away.
    """
    pipeline = redis.pipeline(transaction=False)
    for user_id in user_ids:
        pipeline.zrange(places_key(organization_id, user_id), 0, -1)
    found: list[list[bytes]] = await answer(pipeline.execute())
    return {
        user_id: {_place_of(member) for member in members}
        for user_id, members in zip(user_ids, found, strict=True)
    }


def _place_of(member: bytes) -> tuple[str, ScopeId]:
    device_id, _, key = member.decode().partition("\0")
    return device_id, ScopeId.of_key(key)
