"""All services behind one server, over real stores and a real connection, as the tests call them."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import pytest
from muster.presence.v1.friend_service_pb2_grpc import FriendServiceStub
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.scoring.v1.board_service_pb2_grpc import BoardServiceStub
from muster.scoring.v1.round_service_pb2_grpc import RoundServiceStub
from muster.session.v1.block_service_pb2_grpc import BlockServiceStub
from muster.session.v1.class_service_pb2_grpc import ClassServiceStub
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub
from muster_kit.app import ServiceApp
from muster_kit.caller import OrganizationRole
from muster_kit.db import Database
from muster_kit.db.migrate import migrate
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.status import received
from muster_kit.rpc.tokens import issue_service_token, issue_user_token, write_ticket_key
from muster_kit.settings import Settings
from muster_session import app as session_app
from muster_session.settings import SessionServiceSettings
from muster_stack.hosting import Host
from muster_stack.services import migrations_of
from sqlalchemy import text

from tests.conftest import DatabaseUrls, TestStores
from tests.rpc.scoring_gate import ScoringGate

Metadata = tuple[tuple[str, str], ...]

SECRET = "a secret of the tests that is long enough"
SERVICES = ("session", "scoring", "presence")


@dataclass(frozen=True, slots=True)
class House:
    """A running server with session, scoring and presence; `gate` stands between the first two."""

    settings: Settings
    urls: DatabaseUrls
    directory: Path
    gate: ScoringGate
    channel: Any
    sessions: Any
    blocks: Any
    classes: Any
    rounds: Any
    boards: Any
    presence: Any
    friends: Any
    apps: dict[str, ServiceApp]

    def user(
        self,
        subject: str,
        *,
        organization: str,
        role: OrganizationRole = OrganizationRole.MEMBER,
        name: str = "",
        lifetime: timedelta = timedelta(hours=12),
    ) -> Metadata:
        """Return the metadata of a user's calls."""
        token = issue_user_token(
            SECRET,
            subject=subject,
            organization_id=organization,
            organization_role=role,
            display_name=name or subject,
            lifetime=lifetime,
        )
        return bearer(token)

    async def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Return rows of any query, as the superuser sees them."""
        admin = Database.open(self.urls.admin_url, pool_size=1)
        try:
            async with admin.connection() as connection:
                return [tuple(row) for row in await connection.execute(text(sql), parameters)]
        finally:
            await admin.close()

    def service(self, name: str = "tests", *, organization: str = "") -> Metadata:
        """Return the metadata of an internal service's calls."""
        return bearer(issue_service_token(SECRET, service=name, organization_id=organization))


def bearer(token: str) -> Metadata:
    """Return the metadata that show a token."""
    return (("authorization", f"Bearer {token}"),)


async def reason_of(call: Awaitable[object]) -> Reason:
    """Return why a call fails; fails itself when the call succeeds."""
    return (await error_of(call)).reason


async def error_of(call: Awaitable[object]) -> MusterError:
    """Return the error a call fails with; fails itself when there is none, or none of ours."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    told = received(failed.value)
    assert told is not None, failed.value
    return told


async def prepare(urls: DatabaseUrls) -> None:
    """Migrate a database for all services."""
    for name in SERVICES:
        versions = migrations_of(name)
        if versions is not None:
            await migrate(urls.owner_url, schema=name, versions=versions)


@asynccontextmanager
async def open_house(stores: TestStores, directory: Path, **session_settings: Any) -> AsyncIterator[House]:
    """Run the services in a database of their own; those of `Settings` are for all."""
    urls = await stores.copy_of("house", prepare)
    async with house_over(stores, urls, directory, **session_settings) as house:
        yield house
    await stores.drop_database(urls)


@asynccontextmanager
async def house_over(
    stores: TestStores, urls: DatabaseUrls, directory: Path, **changes: Any
) -> AsyncIterator[House]:
    """Run the services over a database, as one process of possibly several; the settings may be changed."""
    ticket_key = _ticket_key(directory)
    shared = {name: changes.pop(name) for name in set(changes) & Settings.model_fields.keys()}
    address = f"127.0.0.1:{_free_port()}"
    async with ScoringGate(address) as gate:
        settings = Settings(
            database_url=urls.app_url,
            writer_database_url=urls.writer_url,
            listen=address,
            scoring_address=gate.address,
            user_token_secret=SECRET,
            service_token_secret=SECRET,
            ticket_private_key_file=ticket_key,
            drain_seconds=1,
            **{"redis_url": stores.redis_url, **shared},
        )
        apps = {name: _build(name, settings, changes) for name in SERVICES}
        async with Host(settings, list(apps.values())), grpc.aio.insecure_channel(address) as channel:
            yield House(
                settings=settings,
                urls=urls,
                directory=directory,
                gate=gate,
                channel=channel,
                sessions=SessionServiceStub(channel),
                blocks=BlockServiceStub(channel),
                classes=ClassServiceStub(channel),
                rounds=RoundServiceStub(channel),
                boards=BoardServiceStub(channel),
                presence=PresenceServiceStub(channel),
                friends=FriendServiceStub(channel),
                apps=apps,
            )


def _build(name: str, settings: Settings, session_settings: dict[str, Any]) -> ServiceApp:
    if name == "session":
        return session_app.build(settings, SessionServiceSettings(**session_settings))
    build: Callable[[Settings], ServiceApp] = import_module(f"muster_{name}.app").build
    return build(settings)


def _ticket_key(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    ticket_key = directory / "ticket-key.pem"
    if not ticket_key.exists():
        write_ticket_key(ticket_key)
    return ticket_key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
