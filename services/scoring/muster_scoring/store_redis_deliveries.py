"""Least round trips in Redis: one sorted set for each session."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from muster_kit.redis_scripts import answer
from redis.asyncio import Redis

from muster_scoring.store_deliveries import SeatKey

_MICROSECOND: Final = timedelta(microseconds=1)
_KEEP: Final = timedelta(days=1)
"""Longer than a session is quiet. Whoever comes back later is measured anew."""


class RedisRoundTrips:
    """The RoundTrips of all workers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def note(self, samples: Sequence[tuple[SeatKey, timedelta]]) -> Sequence[timedelta]:
        """Add round trips; return the least of each seat."""
        noted: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for seat, trip in samples:
            trips, new = noted[seat.session_id], trip // _MICROSECOND
            trips[seat.participant_id] = min(new, trips.get(seat.participant_id, new))
        pipeline = self._redis.pipeline(transaction=False)
        for session_id, trips in noted.items():
            key = _key(session_id)
            pipeline.zadd(key, trips, lt=True)
            pipeline.zmscore(key, list(trips))
            pipeline.pexpire(key, _KEEP)
        replies = await answer(pipeline.execute())
        least = {
            SeatKey(session_id, participant_id): score * _MICROSECOND
            for (session_id, trips), scores in zip(noted.items(), replies[1::3], strict=True)
            for participant_id, score in zip(trips, scores, strict=True)
        }
        return [least[seat] for seat, _ in samples]

    async def remove(self, session_id: str) -> None:
        """Remove those of a session."""
        await answer(self._redis.unlink(_key(session_id)))


def _key(session_id: str) -> str:
    return f"muster:{{{session_id}}}:round_trips"
