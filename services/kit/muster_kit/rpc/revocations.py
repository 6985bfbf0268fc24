"""Withdrawn tickets: told to every process at once, and remembered until they would have expired."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import listening_server

CHANNEL: Final = "muster:revocations"
# Sorted by when each may be forgotten; a process that starts or reconnects reads what it missed.
RECENT: Final = "muster:revocations:recent"

_SILENCE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = (0.1, 0.5)

_log = structlog.get_logger(__name__)

Listener = Callable[[str, str, int], None]
"""Called with room, seat and the lowest generation that still counts."""


class Revocations:
    """Knows which tickets no longer count, and ends what was opened with them.

    A revocation is heard within milliseconds while Redis is there. One that is published while it
    is away reaches this process alone, until Redis is back; the services' own records are the second
    wall. What Redis lost, every process that knows of it tells it again.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        ticket_lifetime: timedelta = timedelta(minutes=15),
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        """`ticket_lifetime` is how long a ticket may live: a revocation is kept as long.

        A connection that is silent for `silence_seconds` is asked whether it is still there; as often
        Redis is compared with what is known here.
        """
        self._redis = redis
        self._keep_seconds = ticket_lifetime.total_seconds()
        self._silence_seconds = silence_seconds
        # In the order in which they were heard, nearly that of their ends: the first is the first to go.
        self._minimums: dict[tuple[str, str], tuple[int, float]] = {}
        self._listeners: list[Listener] = []
        self._listening = asyncio.Event()

    async def revoke(self, room_id: str, participant_id: str, minimum_generation: int) -> None:
        """Refuse the seat's tickets of lower generations from now on, in every process."""
        self._apply(room_id, participant_id, minimum_generation)
        message = json.dumps([room_id, participant_id, minimum_generation])
        now = time.time()
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.publish(CHANNEL, message)
                pipe.zremrangebyscore(RECENT, "-inf", now)
                pipe.zadd(RECENT, {message: now + self._keep_seconds})
                pipe.expire(RECENT, int(self._keep_seconds) + 1)
                await pipe.execute()
        except RedisError as error:
            _log.warning("revocation_not_published", room_id=room_id, error=str(error))

    def check(self, caller: Caller) -> None:
        """Raise MusterError(TICKET_REVOKED) when the caller's ticket no longer counts."""
        minimum = self._minimums.get((caller.room_id, caller.participant_id))
        if minimum is not None and caller.generation < minimum[0]:
            raise MusterError(Reason.TICKET_REVOKED)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` for every revocation, wherever it was made."""
        self._listeners.append(listener)

    async def listening(self) -> None:
        """Wait until revocations made elsewhere are heard here."""
        await self._listening.wait()

    async def run(self) -> None:
        """Listen until cancelled, coming back whenever Redis does."""
        while True:
            try:
                async with listening_server(self._redis) as server, server.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    await self._listen(pubsub)
            except (RedisError, OSError) as error:
                _log.warning("revocations_not_heard", error=str(error))
            finally:
                self._listening.clear()
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311 - jitter, not a secret

    async def _listen(self, pubsub: PubSub) -> None:
        asked = False
        compared = time.monotonic()
        while True:
            message = await pubsub.get_message(timeout=self._silence_seconds)
            if time.monotonic() - compared >= self._silence_seconds:
                await self._put_back()
                compared = time.monotonic()
            if message is None:
                # Silence may be a dead connection, which no read would ever notice: ask.
                if asked:
                    raise RedisConnectionError("no answer")
                await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                # Also when the client library has reconnected by itself; what was said meanwhile is lost.
                async with asyncio.timeout(self._silence_seconds):
                    await self._catch_up()
                await self._put_back()
                self._listening.set()
            elif message["type"] == "message":
                self._hear(message["data"])

    async def _catch_up(self) -> None:
        now = time.time()
        recent: Any = await self._redis.zrangebyscore(RECENT, now, "+inf", withscores=True)
        for message, end in recent:
            # Not kept any longer for being heard again, or restarts would keep it for ever.
            self._hear(message, keep_seconds=end - now)

    async def _put_back(self) -> None:
        """Tell Redis what it lost, for processes that are yet to start."""
        self._forget()
        now, here = time.time(), time.monotonic()
        known = {
            json.dumps([room_id, seat, minimum]): now + end - here
            for (room_id, seat), (minimum, end) in self._minimums.items()
        }
        if not known:
            return
        try:
            async with asyncio.timeout(self._silence_seconds):
                ends = await self._redis.zmscore(RECENT, list(known))
                lost = {
                    message: known[message] for message, end in zip(known, ends, strict=True) if end is None
                }
                if lost:
                    async with self._redis.pipeline() as pipe:
                        pipe.zadd(RECENT, lost)
                        pipe.expire(RECENT, int(self._keep_seconds) + 1)
                        await pipe.execute()
                    _log.info("revocations_put_back", count=len(lost))
        except TimeoutError:
            raise RedisConnectionError("no answer") from None

    def _hear(self, message: Any, *, keep_seconds: float | None = None) -> None:
        try:
            room_id, participant_id, minimum = json.loads(message)
            self._apply(str(room_id), str(participant_id), int(minimum), keep_seconds=keep_seconds)
        except (ValueError, TypeError) as error:
            _log.warning("revocation_not_understood", error=repr(error))

    def _apply(
        self, room_id: str, participant_id: str, minimum: int, *, keep_seconds: float | None = None
    ) -> None:
        seat = (room_id, participant_id)
        self._forget()
        known_minimum, known_end = self._minimums.pop(seat, (0, 0.0))
        end = time.monotonic() + (self._keep_seconds if keep_seconds is None else keep_seconds)
        self._minimums[seat] = (max(minimum, known_minimum), max(end, known_end))
        for listener in self._listeners:
            listener(room_id, participant_id, minimum)

    def _forget(self) -> None:
        now = time.monotonic()
        while self._minimums:
            seat, (_, end) = next(iter(self._minimums.items()))
            if end > now:
                return
            del self._minimums[seat]
