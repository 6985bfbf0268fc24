"""Tells thousands of people at once: what is published at the same moment goes to Redis in one trip."""

from collections.abc import Sequence
from typing import TypeAlias

import structlog
from muster_kit.db import GroupCommit
from muster_kit.errors import MusterError
from muster_kit.streams.publisher import channel_of, encode_run, encode_signal
from redis.asyncio import Redis
from redis.exceptions import RedisError

_Message: TypeAlias = tuple[str, bytes]
"""Channel and data."""

_log = structlog.get_logger(__name__)


class PeoplePublisher:
    """A `muster_kit.streams.Publisher` of rooms that are written a thousand at a time."""

    def __init__(self, redis: Redis, *, schema: str) -> None:
        self._redis = redis
        self._schema = schema
        self._queue: GroupCommit[_Message, None] = GroupCommit(self._send_all)

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        """Send a committed run."""
        if events:
            await self._send(room_id, encode_run(epoch, first_seq, events))

    async def signal(self, room_id: str, payload: bytes = b"") -> None:
        """Send a message outside the log."""
        await self._send(room_id, encode_signal(payload))

    async def _send(self, room_id: str, data: bytes) -> None:
        try:
            await self._queue.submit((channel_of(self._schema, room_id), data))
        except (RedisError, OSError, MusterError) as error:
            # What was committed stays committed: watchers find it with the head check.
            _log.warning("publication_lost", room_id=room_id, error=repr(error))

    async def _send_all(self, messages: Sequence[_Message]) -> Sequence[None]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for channel, data in messages:
                pipeline.publish(channel, data)
            await pipeline.execute()
        return [None] * len(messages)
