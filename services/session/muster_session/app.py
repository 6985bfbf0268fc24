"""Composition root of the session service."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from google.protobuf.descriptor import FileDescriptor
from muster.session.v1 import (
    block_service_pb2,
    chat_service_pb2,
    class_service_pb2,
    invitation_service_pb2,
    session_service_pb2,
)
from muster_kit.clock import CalibratedClock
from muster_kit.db import Commands, Database, Deadline, Deadlines, Requests, sweep_requests
from muster_kit.delivery import DeliverySeal
from muster_kit.errors import MusterError
from muster_kit.redis_client import open_redis
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.policy import Policy
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.service import Service
from muster_kit.rpc.tokens import ServiceTokens, TicketSigner
from muster_kit.settings import Settings
from muster_kit.streams import Hub, PostgresLog, RedisPublisher, Tuning
from muster_kit.streams.background import Background

from muster_session.arrivals import Arrivals
from muster_session.class_requests import ClassRequests
from muster_session.convert import message_bytes, session_message
from muster_session.convert_blocks import block_message
from muster_session.convert_events import encode_event
from muster_session.join_keys import JoinKeys
from muster_session.notice_client import NoticeClient
from muster_session.parts import Parts
from muster_session.policy import POLICY
from muster_session.report_client import ReportClient
from muster_session.scoring_client import ScoringClient
from muster_session.servicer import NotServed, SessionServicer
from muster_session.servicer_blocks import BlockServicer
from muster_session.servicer_classes import ClassServicer
from muster_session.settings import SessionServiceSettings
from muster_session.store import Room
from muster_session.store_postgres import PostgresRoom
from muster_session.store_postgres_class_directory import PostgresClassDirectory
from muster_session.store_postgres_classes import PostgresClasses
from muster_session.store_postgres_directory import PostgresDirectory
from muster_session.store_postgres_guesses import PostgresGuesses, sweep_guesses
from muster_session.store_postgres_recipients import PostgresRecipients
from muster_session.tables import ROOMS, SCHEMA
from muster_session.tickets import Tickets
from muster_session.timers import Timers
from muster_session.usecases_finish import Encode
from muster_session.usecases_join import CodeDesk
from muster_session.usecases_notices import Notices
from muster_session.usecases_removal import Removals
from muster_session.usecases_reports import Reports
from muster_session.usecases_transitions import Transitions
from muster_session.watchers import REMOVED, Watchers

_CALIBRATE_EVERY: Final = timedelta(minutes=1)
_SWEEP_SECONDS: Final = 3600.0

_log = structlog.get_logger(__name__)


class SessionApp:
    """The service, composed; see `muster_kit.app.ServiceApp`."""

    def __init__(self, settings: Settings, service_settings: SessionServiceSettings) -> None:
        if settings.ticket_private_key_file is None:
            raise ValueError("MUSTER_TICKET_PRIVATE_KEY_FILE is not set: the session service signs tickets")
        self._stores = _Stores(settings)
        stores, self._background = self._stores, Background()
        self._clock = CalibratedClock(stores.database.now)
        publisher = RedisPublisher(stores.redis, schema=SCHEMA)
        log = PostgresLog(stores.database, stores.writer_database, ROOMS)
        tuning = Tuning(heartbeat_seconds=settings.heartbeat_seconds)
        self._hub = Hub(stores.redis, log, schema=SCHEMA, clock=self._clock, tuning=tuning)
        self._deadlines = Deadlines(
            stores.writer_database,
            ROOMS,
            fire=self._fire,
            clock=self._clock,
        )
        self._commands: Commands[Room] = Commands(
            stores.database,
            ROOMS,
            bind=PostgresRoom,
            encode_event=encode_event,
            publisher=publisher,
            wake=self._deadlines.wake,
        )
        self._keys = JoinKeys()
        signer = TicketSigner.read(settings.ticket_private_key_file, clock=self._clock)
        revocations = Revocations(stores.redis, ticket_lifetime=settings.ticket_lifetime)
        tickets = Tickets(signer, revocations, settings.ticket_lifetime)
        directory = PostgresDirectory(stores.database, stores.writer_database)
        self._guesses = PostgresGuesses(stores.database, service_settings.guess_limits)
        scoring = ScoringClient(stores.scoring, stores.tokens)
        removals = Removals(
            self._commands,
            scoring,
            lambda session_id: publisher.signal(session_id, REMOVED),
            ticket_lifetime=settings.ticket_lifetime,
        )
        self._parts = parts = Parts(
            commands=self._commands,
            directory=directory,
            arrivals=Arrivals(directory),
            transitions=Transitions(self._commands, directory, scoring, _ENCODE),
            removals=removals,
            code_desk=CodeDesk(self._guesses, self._keys),
            keys=self._keys,
            tickets=tickets,
            hub=self._hub,
            watchers=Watchers(
                self._hub, directory, tickets, self._background, DeliverySeal.from_settings(settings)
            ),
            clock=self._clock,
            settings=service_settings,
        )
        notices = Notices(
            self._commands,
            directory,
            PostgresRecipients(stores.database),
            NoticeClient(stores.presence, stores.tokens),
            self._clock,
        )
        reports = Reports(self._commands, directory, ReportClient(stores.presence, stores.tokens))
        self._timers = Timers(parts, scoring, notices, reports)
        classes = ClassServicer(
            ClassRequests(Requests(stores.database, ROOMS.request), PostgresClasses),
            PostgresClassDirectory(stores.database),
            directory,
        )
        self.services = _services(parts, classes)
        self.policy: Policy = POLICY
        self._exits = contextlib.AsyncExitStack()
        self._is_serving = False

    async def start(self) -> None:
        """Start listening to Redis, and firing deadlines."""
        self._exits.push_async_callback(self._stores.close)
        self._exits.push_async_callback(self._guesses.close)
        self._exits.push_async_callback(self._parts.arrivals.close)
        self._exits.callback(self._keys.close)
        try:
            await self._clock.calibrate()
        except MusterError as error:
            # The machine's clock has to do until the database is back.
            _log.warning("clock_not_calibrated", error=str(error))
        await self._exits.enter_async_context(self._hub)
        self._exits.push_async_callback(self._commands.close)
        self._exits.push_async_callback(self._parts.transitions.close)
        self._exits.push_async_callback(self._background.close)
        self._background.spawn(self._clock.keep(_CALIBRATE_EVERY), name="keep_clock")
        self._background.spawn(self._sweep(), name="sweep")
        self._background.spawn(self._deadlines.run(), name="fire_deadlines")
        self._is_serving = True

    async def drain(self) -> None:
        """Send the watchers elsewhere; other workers fire the deadlines from now on."""
        self._is_serving = False
        await asyncio.gather(self._deadlines.drain(), self._hub.drain())

    async def close(self) -> None:
        """Finish what was begun and close the stores."""
        self._is_serving = False
        await self._exits.aclose()

    def ready(self) -> bool:
        """Whether calls are served; the host looks after the stores itself."""
        return self._is_serving

    async def _fire(self, deadline: Deadline) -> None:
        await self._timers.fire(deadline)

    async def _sweep(self) -> None:
        while True:
            try:
                await sweep_requests(self._stores.writer_database, ROOMS.request)
                await sweep_guesses(self._stores.writer_database)
            except MusterError as error:
                _log.warning("not_swept", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)


class _Stores:
    """What is connected to, when it is first used."""

    def __init__(self, settings: Settings) -> None:
        pool_size = settings.database_pool_size
        self.database = Database.open(settings.database_url, pool_size=pool_size)
        self.writer_database = Database.open(settings.writer_database_url, pool_size=pool_size)
        self.redis = open_redis(settings.redis_url)
        secret = settings.service_token_secret
        self.tokens = ServiceTokens(secret.get_secret_value(), service="session") if secret else None
        self.scoring = open_channel(
            settings.scoring_address, tokens=self.tokens, ca_file=settings.tls_ca_file
        )
        self.presence = open_channel(
            settings.presence_address, tokens=self.tokens, ca_file=settings.tls_ca_file
        )

    async def close(self) -> None:
        """Close all."""
        await self.scoring.close(None)
        await self.presence.close(None)
        await self.redis.aclose()
        await self.writer_database.close()
        await self.database.close()


_ENCODE: Final = Encode(
    session=lambda session: message_bytes(session_message(session)),
    block=lambda block: message_bytes(block_message(block, with_key=True)),
)


def build(settings: Settings, service_settings: SessionServiceSettings | None = None) -> SessionApp:
    """Compose the service; opens nothing. Its own settings come from the environment unless given."""
    return SessionApp(settings, service_settings or SessionServiceSettings())


def _services(parts: Parts, classes: ClassServicer) -> Sequence[Service]:
    return (
        _service(session_service_pb2.DESCRIPTOR, "SessionService", SessionServicer(parts)),
        _service(block_service_pb2.DESCRIPTOR, "BlockService", BlockServicer(parts)),
        _service(class_service_pb2.DESCRIPTOR, "ClassService", classes),
        _service(chat_service_pb2.DESCRIPTOR, "ChatService", NotServed()),
        _service(invitation_service_pb2.DESCRIPTOR, "InvitationService", NotServed()),
    )


def _service(file: FileDescriptor, name: str, servicer: object) -> Service:
    return Service(file.services_by_name[name], servicer)
