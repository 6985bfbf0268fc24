"""Composes the frames of a watch stream from parts that are serialized once.

Concatenated protobuf messages merge, so a frame is written as *body* + *place* + *delay*: the body
is the same for every stream, the place (the cursor) for every stream at that position, and only
the queue delay belongs to one stream alone.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from muster.stream.v1 import stream_pb2 as pb

from muster_kit.streams.cursor import Cursor

_TICK_SECONDS = 0.0001
_TICKS_A_SECOND = 10_000
_NANOS_A_TICK = 100_000
# Bytes that are empty are left out on the wire, but a snapshot of nothing is a snapshot: its tag and size 0.
_EMPTY_SNAPSHOT = bytes((pb.Envelope.SNAPSHOT_FIELD_NUMBER << 3 | 2, 0))


def place(cursor: Cursor) -> bytes:
    """Return the part of a frame that says where to go on."""
    return pb.Envelope(cursor=cursor.encode()).SerializeToString()


def delay(seconds: float) -> bytes:
    """Return the part of a frame that says how long it waited, to 0.1 ms."""
    return _delay(int(seconds / _TICK_SECONDS))


@lru_cache(maxsize=4096)
def _delay(ticks: int) -> bytes:
    seconds, rest = divmod(ticks, _TICKS_A_SECOND)
    waited = Duration(seconds=seconds, nanos=rest * _NANOS_A_TICK)
    return pb.Envelope(queue_delay=waited).SerializeToString()


def time(now: datetime) -> bytes:
    """Return the part of a frame that says when it was made; a later one overrides an earlier one."""
    return pb.Envelope(server_time=_timestamp(now)).SerializeToString()


def _timestamp(now: datetime) -> Timestamp:
    # Never 0 nanoseconds: a zero is left out on the wire, and would not override when frames merge.
    return Timestamp(seconds=int(now.timestamp()), nanos=now.microsecond * 1000 or 1)


def events(now: datetime, run: Sequence[bytes]) -> bytes:
    """Return the body of a run of log events."""
    payload = pb.EventRun(events=run).SerializeToString()
    return pb.Envelope(server_time=_timestamp(now), events=payload).SerializeToString()


def without_events(body: bytes, count: int) -> bytes:
    """Return the body of a run without its first `count` events."""
    envelope = pb.Envelope.FromString(body)
    rest = pb.EventRun.FromString(envelope.events).events[count:]
    envelope.events = pb.EventRun(events=rest).SerializeToString()
    return envelope.SerializeToString()


def snapshot(now: datetime, payload: bytes) -> bytes:
    """Return the body of a snapshot; `payload` is the service's message, as in all of these."""
    body = pb.Envelope(server_time=_timestamp(now), snapshot=payload).SerializeToString()
    return body if payload else body + _EMPTY_SNAPSHOT


def view(now: datetime, payload: bytes) -> bytes:
    """Return the body of a view."""
    return pb.Envelope(server_time=_timestamp(now), view=payload).SerializeToString()


def lossy(now: datetime, payload: bytes) -> bytes:
    """Return the body of merged lossy messages."""
    return pb.Envelope(server_time=_timestamp(now), lossy=payload).SerializeToString()


def ticket(now: datetime, payload: bytes) -> bytes:
    """Return the body of a renewed ticket."""
    return pb.Envelope(server_time=_timestamp(now), ticket=payload).SerializeToString()


def heartbeat(now: datetime) -> bytes:
    """Return the body of a heartbeat."""
    return pb.Envelope(server_time=_timestamp(now), heartbeat=pb.Heartbeat()).SerializeToString()


def reset(now: datetime, cause: pb.ResetCause) -> bytes:
    """Return the body of a reset."""
    return pb.Envelope(server_time=_timestamp(now), reset=pb.Reset(cause=cause)).SerializeToString()


def lag(now: datetime, skipped: "pb.Lag") -> bytes:
    """Return the body of a lag frame."""
    return pb.Envelope(server_time=_timestamp(now), lag=skipped).SerializeToString()


def delivery_stamp(stamp: bytes) -> bytes:
    """Return the part of a frame that says when one stream was handed it."""
    return pb.Envelope(delivery_stamp=stamp).SerializeToString()


def reconnect(now: datetime, cause: pb.ReconnectCause, delay_seconds: float) -> bytes:
    """Return the body of the last frame of a stream that the client should open again."""
    wait = Duration()
    wait.FromMicroseconds(int(delay_seconds * 1_000_000))
    message = pb.Reconnect(cause=cause, delay=wait)
    return pb.Envelope(server_time=_timestamp(now), reconnect=message).SerializeToString()
