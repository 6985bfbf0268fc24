"""Composes what serves friendships; a part of the composition root."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from muster_kit.clock import Clock
from muster_kit.db import Database, Requests
from muster_kit.db.publications import Publications
from muster_kit.errors import MusterError
from muster_kit.streams import Hub, RedisPublisher
from muster_kit.streams.background import Background
from redis.asyncio import Redis

from muster_presence.convert_friends import (
    away,
    connected_view,
    encode_friends_event,
    friends_snapshot,
    friends_view,
)
from muster_presence.friend_bells import RedisBells
from muster_presence.friend_requests import FriendInboxes, FriendRequests
from muster_presence.person_rooms import friends_room
from muster_presence.scope_keys import SCHEMA
from muster_presence.servicer_friends import FriendServicer
from muster_presence.settings import PresenceServiceSettings
from muster_presence.store_postgres_friend_directory import PostgresFriendDirectory, sweep_friends
from muster_presence.store_postgres_friends import PostgresFriends
from muster_presence.store_redis_friends import RedisFriendPresence
from muster_presence.tables import ROOMS
from muster_presence.usecases_friend_sight import Shape
from muster_presence.usecases_friend_sights import FriendSights
from muster_presence.usecases_friends_watch import FriendShapes, FriendWatches
from muster_presence.usecases_inbox import shows_friends

CONNECTED: Final = Shape("friends", connected_view, shows_friends)
"""How those who are connected are shown their friends."""

_WATCHED: Final = Shape("presences", friends_view)
_SWEEP_SECONDS: Final = 3600.0
_LONGEST_WINDOW: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class FriendParts:
    """What serves friendships; `sights` also show friends to those who are connected."""

    def __init__(
        self,
        settings: PresenceServiceSettings,
        *,
        database: Database,
        writer_database: Database,
        hub: Hub,
        redis: Redis,
        index_redis: Redis,
        publications: Publications,
        clock: Clock,
    ) -> None:
        """`hub` reads the logs of people, and `redis` carries what they are told."""
        self._writer_database = writer_database
        self._pause = settings.friend_request_pause
        directory = PostgresFriendDirectory(database)
        presence = RedisFriendPresence(index_redis, clock, settings.timing)
        bells = RedisBells(RedisPublisher(redis, schema=SCHEMA))
        self.sights = FriendSights(directory, presence, bells, hub=hub, clock=clock, away=away)
        inboxes = FriendInboxes(settings.inbox_kept)
        self.requests = FriendRequests(
            Requests(database, ROOMS.request),
            lambda transaction: PostgresFriends(transaction, encode_friends_event, inboxes),
            publications,
            self.sights.regrouped,
        )
        shapes = FriendShapes(friends_snapshot, _WATCHED)
        self.servicer = FriendServicer(
            requests=self.requests,
            directory=directory,
            presence=presence,
            watches=FriendWatches(hub, directory, self.sights, shapes, room_of=friends_room, clock=clock),
            limits=settings.friend_limits,
            request_rate=settings.friend_request_rate,
            reaction_rules=settings.reaction_rules,
        )

    def start(self, background: Background) -> None:
        """Begin to look after what is seen, and to forget what is over."""
        background.spawn(self.sights.keep_looking(), name="look_at_friends")
        background.spawn(self._keep_sweeping(), name="sweep_friends")

    async def _keep_sweeping(self) -> None:
        sweep = partial(
            sweep_friends, self._writer_database, pause=self._pause, longest_window=_LONGEST_WINDOW
        )
        while True:
            try:
                await sweep()
            except MusterError as error:
                _log.warning("friends_not_swept", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)
