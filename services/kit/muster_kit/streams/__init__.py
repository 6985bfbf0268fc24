"""Resumable streams: a snapshot, every event of a room once and in order, then live."""

from muster_kit.streams.cursor import Cursor
from muster_kit.streams.feed import Feed
from muster_kit.streams.hub import Hub
from muster_kit.streams.log import Head, Log, PostgresLog, StoredEvent
from muster_kit.streams.lossy import Counts, Merge
from muster_kit.streams.publisher import Publisher, RedisPublisher
from muster_kit.streams.room import Room
from muster_kit.streams.stamps import Stamp
from muster_kit.streams.tuning import Tuning
from muster_kit.streams.views import SharedView, View
from muster_kit.streams.watch import Renewal

__all__ = [
    "Counts",
    "Cursor",
    "Feed",
    "Head",
    "Hub",
    "Log",
    "Merge",
    "PostgresLog",
    "Publisher",
    "RedisPublisher",
    "Renewal",
    "Room",
    "SharedView",
    "Stamp",
    "StoredEvent",
    "Tuning",
    "View",
]
