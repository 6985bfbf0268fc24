"""Composition of attendance: what it needs of the service, and what it adds to it."""

from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from muster_kit.clock import Clock
from muster_kit.db import Commands, Database, Deadline, Deadlines
from muster_kit.errors import MusterError
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.tokens import ServiceTokens
from muster_kit.settings import Settings
from muster_kit.streams import Hub, RedisPublisher
from muster_kit.streams.background import Background
from redis.asyncio import Redis

from muster_presence.attendance_rooms import room_of
from muster_presence.convert_attendance import encode_event
from muster_presence.convert_attendance_watch import shapes
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_attendance import AttendanceRule
from muster_presence.rosters import SessionRosters
from muster_presence.servicer_attendance import AttendanceParts, AttendanceServicer
from muster_presence.settings import PresenceServiceSettings
from muster_presence.store import PresenceIndex
from muster_presence.store_attendance import AttendanceRoom
from muster_presence.store_intervals import Intervals
from muster_presence.store_postgres_attendance import PostgresAttendanceRoom
from muster_presence.store_postgres_attendance_directory import PostgresAttendanceDirectory
from muster_presence.tables import ROOMS, SCHEMA
from muster_presence.timers import Timers
from muster_presence.usecases_attendance_course import LOOK_DEADLINE
from muster_presence.usecases_attendance_reads import Observations, Sheets
from muster_presence.usecases_attendance_records import Custom
from muster_presence.usecases_attendance_reports import AttendanceTimers, ScopeReports
from muster_presence.usecases_attendance_watch import AttendanceWatches
from muster_presence.usecases_channels import ScopeDevices

_SOON: Final = timedelta(seconds=1)
"""Those who come together are seen together."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """What the service has for all of its parts."""

    database: Database
    writer_database: Database
    redis: Redis
    hub: Hub
    index: PresenceIndex
    intervals: Intervals
    clock: Clock


class Attendance:
    """The attendance part of the service; `reports` and `servicer` take its calls."""

    def __init__(
        self, settings: Settings, service_settings: PresenceServiceSettings, under: Foundations
    ) -> None:
        secret = settings.service_token_secret
        tokens = ServiceTokens(secret.get_secret_value(), service="presence") if secret else None
        self._session = open_channel(settings.session_address, tokens=tokens, ca_file=settings.tls_ca_file)
        custom = Custom(
            rule=AttendanceRule(),
            times=service_settings.times,
            look_every=service_settings.attendance_interval,
            ask_every=service_settings.attendance_roster_interval,
            settle_after=service_settings.attendance_settling,
        )
        self._deadlines = Deadlines(under.writer_database, ROOMS, fire=self._fire, clock=under.clock)
        self._commands: Commands[AttendanceRoom] = Commands(
            under.database,
            ROOMS,
            bind=PostgresAttendanceRoom,
            encode_event=encode_event,
            publisher=RedisPublisher(under.redis, schema=SCHEMA),
            wake=self._deadlines.wake,
        )
        devices = ScopeDevices(under.index, under.intervals)
        observations = Observations(under.intervals, devices)
        directory = PostgresAttendanceDirectory(under.database)
        sheets = Sheets(directory, observations, custom.rule, under.clock)
        self._watches = AttendanceWatches(
            under.hub, directory, sheets, observations, devices, shapes(custom.rule), under.clock
        )
        self._look_every = custom.look_every
        rosters = SessionRosters(self._session, tokens)
        self._timers = Timers(AttendanceTimers(self._commands, directory, rosters, observations, custom))
        self.reports = ScopeReports(self._commands, rosters, custom)
        self.servicer = AttendanceServicer(
            AttendanceParts(
                commands=self._commands,
                directory=directory,
                sheets=sheets,
                observations=observations,
                devices=devices,
                watches=self._watches,
                custom=custom,
            )
        )

    def start(self, exits: AsyncExitStack, background: Background) -> None:
        """Begin to fire deadlines; `exits` ends what `background` runs after what is pushed later."""
        exits.push_async_callback(self._session.close, None)
        exits.push_async_callback(self._commands.close)
        background.spawn(self._deadlines.run(), name="fire_deadlines")
        background.spawn(self._watches.keep_looking(self._look_every), name="look_at_attendance")

    async def look_soon(self, scopes: Collection[ScopeId]) -> None:
        """Have sessions looked at in which somebody came or went."""
        room_ids = [room_of(scope) for scope in scopes if scope.kind is ScopeKind.SESSION]
        if not room_ids:
            return
        try:
            await self._deadlines.hasten(room_ids, LOOK_DEADLINE, within=min(self._look_every, _SOON))
        except MusterError as error:
            # They are looked at all the same, though later.
            _log.info("sessions_not_looked_at_soon", detail=str(error))

    async def drain(self) -> None:
        """Leave the deadlines to other workers."""
        await self._deadlines.drain()

    async def _fire(self, deadline: Deadline) -> None:
        await self._timers.fire(deadline)
