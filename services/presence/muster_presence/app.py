"""Composition root of the presence service."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from google.protobuf.descriptor import FileDescriptor
from muster.presence.v1 import attendance_service_pb2, friend_service_pb2, presence_service_pb2
from muster_kit.clock import CalibratedClock
from muster_kit.db import Database, Requests
from muster_kit.db.publications import Publications
from muster_kit.errors import MusterError
from muster_kit.ids import new_id
from muster_kit.redis_client import open_redis
from muster_kit.redis_scripts import answer
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.policy import Policy
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.service import Service
from muster_kit.settings import Settings
from muster_kit.streams import Hub, PostgresLog, Tuning
from muster_kit.streams.background import Background

from muster_presence import convert, convert_inbox
from muster_presence.attendance import Attendance, Foundations
from muster_presence.friend_parts import CONNECTED, FriendParts
from muster_presence.inbox_log import InboxLog, PostgresInboxReader
from muster_presence.inbox_requests import InboxRequests
from muster_presence.inbox_sweeper import keep_inboxes_swept
from muster_presence.model import Activity, ScopeId
from muster_presence.people_publisher import PeoplePublisher
from muster_presence.policy import POLICY
from muster_presence.scope_keys import SCHEMA
from muster_presence.scope_log import RedisScopeLog
from muster_presence.servicer import PresenceServicer
from muster_presence.settings import PresenceServiceSettings
from muster_presence.store import Spot
from muster_presence.store_erasure_attendance import erase_attendance
from muster_presence.store_erasure_friends import erase_friendships
from muster_presence.store_erasure_inbox import erase_inbox
from muster_presence.store_erasure_postgres import erase_intervals
from muster_presence.store_erasure_redis import RedisForgetting
from muster_presence.store_intervals_postgres import PostgresIntervals
from muster_presence.store_ledger_postgres import PostgresLedger
from muster_presence.store_ledger_redis import RedisLedgerIndex
from muster_presence.store_postgres_inbox import PostgresInboxes
from muster_presence.store_postgres_lines import PostgresLines
from muster_presence.store_redis import RedisPresence
from muster_presence.sweeper import keep_sweeping
from muster_presence.tables import ROOMS
from muster_presence.tickets import TicketReader
from muster_presence.usecases_access import Doors
from muster_presence.usecases_beats import Beats
from muster_presence.usecases_connect import Connections
from muster_presence.usecases_erasure import Erasures
from muster_presence.usecases_inbox import InboxStreams, Notifications
from muster_presence.usecases_ledger import Ledger
from muster_presence.usecases_lines import Lines
from muster_presence.usecases_reads import Reads
from muster_presence.usecases_reconcile import Reconciler
from muster_presence.usecases_steps import StepQueue
from muster_presence.usecases_watch import ScopeWatches, Shapes

_CALIBRATE_EVERY: Final = timedelta(minutes=1)

# Redis tells what people are told; this is how late what it did not tell may come.
_CHECK_PEOPLE_SECONDS: Final = 10.0
_MOST_TO_TELL: Final = 65_536

# Nobody waits for a Redis that does not answer.
_INDEX_PATIENCE: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


class PresenceApp:
    """The service, composed; see `muster_kit.app.ServiceApp`."""

    def __init__(self, settings: Settings, service_settings: PresenceServiceSettings) -> None:
        self._redis = open_redis(settings.redis_url)
        self._index_redis = open_redis(settings.redis_url, patience=_INDEX_PATIENCE)
        pool_size = settings.database_pool_size
        self._database = Database.open(settings.database_url, pool_size=pool_size)
        self._writer_database = Database.open(settings.writer_database_url, pool_size=pool_size)
        self._background = Background()
        # All processes go by one clock, which is not asked by the scripts themselves: tests turn it.
        self._clock = CalibratedClock(self._redis_time)
        self._authenticator = Authenticator.from_settings(settings)
        self._revocations = Revocations(self._redis, ticket_lifetime=settings.ticket_lifetime)
        timing = service_settings.timing
        ledger = PostgresLedger(self._writer_database)
        self._ledger = Ledger(ledger, written=self._after_writing)
        self._index = RedisPresence(
            self._index_redis,
            self._clock,
            timing,
            note=self._ledger.note,
            note_activity=self._ledger.note_activity,
            note_doing=self._hear,
        )
        self._reconciler = Reconciler(
            ledger,
            RedisLedgerIndex(self._index_redis, self._clock, timing),
            self._clock,
            timing,
            note=self._ledger.note,
        )
        self._lines = Lines(PostgresLines(self._database))
        doors = Doors(TicketReader(self._authenticator, self._revocations), self._lines)
        self._queue = StepQueue(self._index)
        self._connections = Connections(self._queue, self._index, doors, holder=new_id())
        beats = Beats(self._queue, self._index, doors, adopt=self._connections.adopt)
        log = RedisScopeLog(self._index_redis, self._clock, service_settings.timing)
        tuning = Tuning(heartbeat_seconds=settings.heartbeat_seconds)
        # What people are told is in PostgreSQL; and there are many whom nobody tells anything for hours.
        people_log = PostgresLog(self._database, self._writer_database, ROOMS)
        self._people = Hub(
            self._redis,
            InboxLog(self._database, people_log),
            schema=SCHEMA,
            clock=self._clock,
            tuning=replace(tuning, check_seconds=_CHECK_PEOPLE_SECONDS),
        )
        self._publications = Publications(
            PeoplePublisher(self._redis, schema=SCHEMA), max_waiting=_MOST_TO_TELL
        )
        self._inbox_kept = service_settings.inbox_kept
        inboxes = InboxRequests(
            Requests(self._database, ROOMS.request),
            lambda transaction: PostgresInboxes(transaction, service_settings.inbox_kept),
            self._publications,
        )
        self._hub = Hub(self._redis, log, schema=SCHEMA, clock=self._clock, tuning=tuning)
        shapes = Shapes(convert.snapshot, convert.view)
        self._watches = ScopeWatches(self._hub, self._index, log, doors, shapes, self._clock)
        self._attendance = Attendance(
            settings,
            service_settings,
            Foundations(
                database=self._database,
                writer_database=self._writer_database,
                redis=self._redis,
                hub=self._people,
                index=self._index,
                intervals=PostgresIntervals(self._database),
                clock=self._clock,
            ),
        )
        self._friends = FriendParts(
            service_settings,
            database=self._database,
            writer_database=self._writer_database,
            hub=self._people,
            redis=self._redis,
            index_redis=self._index_redis,
            publications=self._publications,
            clock=self._clock,
        )
        servicer = PresenceServicer(
            beats=beats,
            connections=self._connections,
            inboxes=InboxStreams(
                self._people, PostgresInboxReader(self._database), convert_inbox.snapshot, self._clock
            ),
            notifications=Notifications(inboxes),
            friends=partial(self._friends.sights.showing, shape=CONNECTED),
            reads=Reads(self._index, doors),
            watches=self._watches,
            history=PostgresIntervals(self._database),
            erasures=Erasures(
                Requests(self._database, ROOMS.request),
                RedisForgetting(self._index_redis, self._clock, timing),
                self._clock,
                erase_intervals,
                [erase_friendships, erase_inbox, erase_attendance],
            ),
            reports=self._attendance.reports,
            settings=service_settings,
            clock=self._clock,
        )
        self.services: Sequence[Service] = (
            _service(presence_service_pb2.DESCRIPTOR, "PresenceService", servicer),
            _service(friend_service_pb2.DESCRIPTOR, "FriendService", self._friends.servicer),
            _service(attendance_service_pb2.DESCRIPTOR, "AttendanceService", self._attendance.servicer),
        )
        self.policy: Policy = POLICY
        self._exits = AsyncExitStack()
        self._is_serving = False

    async def start(self) -> None:
        """Learn the common time, read the keys of tickets, and begin to sweep."""
        self._exits.push_async_callback(self._writer_database.close)
        self._exits.push_async_callback(self._database.close)
        self._exits.push_async_callback(self._redis.aclose)
        self._exits.push_async_callback(self._index_redis.aclose)
        await self._authenticator.start()
        try:
            await self._clock.calibrate()
        except MusterError as error:
            # The machine's clock has to do until Redis is back.
            _log.warning("clock_not_calibrated", error=str(error))
        await self._exits.enter_async_context(self._hub)
        await self._exits.enter_async_context(self._people)
        self._exits.push_async_callback(self._publications.close)
        self._exits.push_async_callback(self._ledger.close)
        self._attendance.start(self._exits, self._background)
        self._exits.push_async_callback(self._friends.sights.close)
        self._exits.push_async_callback(self._background.close)
        # The first to end: what it has is answered with everything else still there.
        self._exits.push_async_callback(self._lines.close)
        self._exits.push_async_callback(self._queue.close)
        self._exits.push_async_callback(self._connections.close)
        self._background.spawn(self._clock.keep(_CALIBRATE_EVERY), name="keep_clock")
        self._background.spawn(self._revocations.run(), name="hear_revocations")
        self._background.spawn(self._connections.keep_renewing(), name="renew_leases")
        self._background.spawn(self._watches.keep_checking(), name="check_counts")
        self._background.spawn(keep_sweeping(self._index), name="sweep")
        self._background.spawn(self._ledger.keep_writing(), name="write_ledger")
        self._background.spawn(self._reconciler.keep_checking(), name="check_ledger")
        self._background.spawn(
            keep_inboxes_swept(self._writer_database, self._inbox_kept), name="sweep_inboxes"
        )
        self._friends.start(self._background)
        self._is_serving = True

    async def drain(self) -> None:
        """Send the watchers elsewhere; beats are taken as long as they come."""
        self._is_serving = False
        self._connections.drain()
        await asyncio.gather(self._hub.drain(), self._people.drain(), self._attendance.drain())

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        self._is_serving = False
        await self._exits.aclose()

    def ready(self) -> bool:
        """Whether calls are served; the host looks after the stores itself."""
        return self._is_serving

    async def _after_writing(self, scopes: Collection[ScopeId]) -> None:
        await self._attendance.look_soon(scopes)

    def _hear(self, spot: Spot, activity: Activity | None, is_away: bool) -> None:
        self._connections.hear(spot, activity, is_away)

    async def _redis_time(self) -> datetime:
        seconds, microseconds = await answer(self._index_redis.time())
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def build(settings: Settings, service_settings: PresenceServiceSettings | None = None) -> PresenceApp:
    """Compose the service; opens nothing. Its own settings come from the environment unless given."""
    return PresenceApp(settings, service_settings or PresenceServiceSettings())


def _service(file: FileDescriptor, name: str, servicer: object) -> Service:
    return Service(file.services_by_name[name], servicer)
