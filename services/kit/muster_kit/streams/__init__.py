"""One resumable stream: snapshot, then every event of a room once and in order, then live."""

from muster_kit.streams.cursor import Cursor
from muster_kit.streams.publisher import Publisher, RedisPublisher

__all__ = ["Cursor", "Publisher", "RedisPublisher"]
