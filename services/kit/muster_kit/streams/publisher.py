"""Tells every process that watches a room what was just committed to it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from muster.stream.v1.stream_pb2 import EventRun
from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = structlog.get_logger(__name__)

_HEADER = struct.Struct(">BQQ")
_RUN = 1
_SIGNAL = 2


@dataclass(frozen=True, slots=True)
class Publication:
    """A run of consecutive log events: `events[i]` has seq `first_seq + i` in the log `epoch`."""

    epoch: int
    first_seq: int
    events: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Signal:
    """A message that no log keeps: an empty one says "look again", others are the service's own."""

    payload: bytes


class Publisher(Protocol):
    """Sends to the processes that watch a room right now.

    Delivery is not promised: a message may come twice, late, or never, and neither method raises
    when the broker is away. Whoever watches finds lost runs in the log, by the gap or by the head
    check; lost signals are lost.
    """

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        """Send a committed run; `events[i]` is the serialized event with seq `first_seq + i`."""
        ...

    async def signal(self, room_id: str, payload: bytes = b"") -> None:
        """Send a message outside the log: a doorbell when empty, else something lossy, such as a reaction."""
        ...


class RedisPublisher:
    """A Publisher over Redis channels, one a room; `schema` keeps the services' rooms apart."""

    def __init__(self, redis: Redis, *, schema: str) -> None:
        self._redis = redis
        self._schema = schema

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        """Send a committed run."""
        if events:
            await self._send(room_id, encode_run(epoch, first_seq, events))

    async def signal(self, room_id: str, payload: bytes = b"") -> None:
        """Send a message outside the log."""
        await self._send(room_id, encode_signal(payload))

    async def _send(self, room_id: str, data: bytes) -> None:
        try:
            await self._redis.publish(channel_of(self._schema, room_id), data)
        except (RedisError, OSError) as error:
            # What was committed stays committed: watchers find it with the head check.
            _log.warning("publication_lost", room_id=room_id, error=repr(error))


def channel_of(schema: str, room_id: str) -> str:
    """Return the Redis channel of a room; the braces are the hash tag of Redis Cluster."""
    return f"muster:{schema}:room:{{{room_id}}}"


def encode_run(epoch: int, first_seq: int, events: Sequence[bytes]) -> bytes:
    """Return the message of a committed run."""
    return _HEADER.pack(_RUN, epoch, first_seq) + EventRun(events=events).SerializeToString()


def encode_signal(payload: bytes) -> bytes:
    """Return the message of a signal."""
    return bytes((_SIGNAL,)) + payload


def decode(data: bytes) -> Publication | Signal:
    """Return what a publisher sent; ValueError when nobody of ours sent it."""
    match data[:1]:
        case b"\x01" if len(data) >= _HEADER.size:
            _, epoch, first_seq = _HEADER.unpack_from(data)
            return Publication(epoch, first_seq, EventRun.FromString(data[_HEADER.size :]).events)
        case b"\x02":
            return Signal(data[1:])
        case _:
            raise ValueError("not a message of a publisher")
