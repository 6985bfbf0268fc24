"""Several services in one process, behind one server with one health and one list of revocations."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from muster_kit.app import ServiceApp
from muster_kit.db.engine import Database
from muster_kit.redis_client import open_redis
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.channel import open_channel
from muster_kit.rpc.health import Probe
from muster_kit.rpc.options import server_credentials
from muster_kit.rpc.policy import Rule
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.server import AddressError, Server
from muster_kit.rpc.sightings import Sightings
from muster_kit.rpc.tokens import ServiceTokens
from muster_kit.settings import Settings
from muster_kit.streams.background import Background
from muster_kit.telemetry import metrics_server, new_registry
from prometheus_client import CollectorRegistry

from muster_stack.problem import Problem


class Host:
    """Serves some apps while it is entered; `drain` first, so that leaving cuts nothing off."""

    def __init__(self, settings: Settings, apps: Sequence[ServiceApp], *, reuse_port: bool = False) -> None:
        """`reuse_port` lets other processes serve the same address."""
        self._settings = settings
        self._apps = apps
        self._reuse_port = reuse_port
        self._exits = AsyncExitStack()
        self._server: Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def drain(self) -> None:
        """Take no new calls, tell streams to go elsewhere, and wait for the rest to end."""
        await asyncio.gather(*(app.drain() for app in self._apps))
        if self._server is not None:
            await self._server.drain(self._settings.drain_seconds)

    async def lost(self) -> None:
        """Wait until the server has ended although nobody told it to; a Problem then."""
        assert self._server is not None  # noqa: S101 - entered, so it has been made
        try:
            await self._server.wait()
        except Exception as error:
            raise Problem(f"The server has ended by itself: {type(error).__name__}.") from error
        raise Problem("The server has ended by itself.")

    async def _open(self) -> None:
        registry = new_registry()
        redis = open_redis(self._settings.redis_url)
        self._exits.push_async_callback(redis.aclose)
        database = Database.open(self._settings.database_url, pool_size=1)
        self._exits.push_async_callback(database.close)
        revocations = Revocations(redis, ticket_lifetime=self._settings.ticket_lifetime)
        self._in_background(revocations.run(), "hear-revocations")
        authenticator = Authenticator.from_settings(self._settings)
        try:
            await authenticator.start()
        except (ValueError, OSError) as error:
            raise Problem(f"The keys of tokens cannot be read: {str(error).rstrip('.')}.") from error
        for app in self._apps:
            # Registered first: an app that fails to start half-way has things to close.
            self._exits.push_async_callback(app.close)
            await app.start()
        if self._settings.metrics_listen:
            self._exits.enter_context(metrics_server(self._settings.metrics_listen, registry))
        self._server = self._make_server(authenticator, revocations, registry, self._sightings())
        probes: dict[str, Probe] = {"postgresql": database.now, "redis": redis.ping}
        probes |= {f"app {number}": _readiness(app) for number, app in enumerate(self._apps, 1)}
        self._in_background(self._server.health.watch(probes), "watch-health")
        try:
            self.port = await self._server.start()
        except AddressError:
            raise Problem(
                f"{self._settings.listen} is in use or is not an address of this machine."
            ) from None
        self._exits.push_async_callback(self._server.drain, 0.0)

    def _sightings(self) -> Sightings | None:
        """Return what tells presence who called; nothing where services show each other no tokens."""
        settings = self._settings
        if settings.service_token_secret is None:
            return None
        channel = open_channel(settings.presence_address, ca_file=settings.tls_ca_file)
        self._exits.push_async_callback(channel.close, None)
        tokens = ServiceTokens(settings.service_token_secret.get_secret_value(), service="muster")
        sightings = Sightings(channel, tokens)
        self._in_background(sightings.keep_telling(), "tell-activity")
        return sightings

    def _make_server(
        self,
        authenticator: Authenticator,
        revocations: Revocations,
        registry: CollectorRegistry,
        sightings: Sightings | None,
    ) -> Server:
        policy: dict[str, Rule] = {}
        for app in self._apps:
            policy |= app.policy
        return Server(
            [service for app in self._apps for service in app.services],
            authenticator=authenticator,
            policy=policy,
            listen=self._settings.listen,
            revocations=revocations,
            sightings=sightings,
            registry=registry,
            credentials=server_credentials(self._settings),
            reuse_port=self._reuse_port,
            trusted_proxies=self._settings.trusted_proxies,
        )

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        background = Background()
        background.spawn(work, name=name)
        self._exits.push_async_callback(background.close)


def _readiness(app: ServiceApp) -> Probe:
    async def probe() -> None:
        if not app.ready():
            raise NotReadyError

    return probe


class NotReadyError(Exception):
    """A service says that it cannot answer now."""
