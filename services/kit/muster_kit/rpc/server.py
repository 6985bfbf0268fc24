"""Serve contracts over gRPC: one process, one address, every call behind the same door."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
import structlog
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2
from muster.error.v1 import error_reason_pb2
from prometheus_client import CollectorRegistry

from muster_kit.errors import Reason
from muster_kit.rpc.admission import Admission
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.health import Health, health_service
from muster_kit.rpc.intake import async_server
from muster_kit.rpc.method import Surroundings, UnknownMethod
from muster_kit.rpc.metrics import CallMetrics
from muster_kit.rpc.open_calls import OpenCalls
from muster_kit.rpc.options import DEFAULT_LIMITS, Limits, server_options
from muster_kit.rpc.policy import Policy, check_total
from muster_kit.rpc.reflection import reflection_services
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.service import Handler, Service, method_handlers
from muster_kit.rpc.sightings import Sightings
from muster_kit.rpc.validation import Validation

# No service imports these, but tools need them to show why a call failed.
_ERROR_CONTRACTS: Final[tuple[FileDescriptor, ...]] = (
    error_details_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
    error_reason_pb2.DESCRIPTOR,
)
# Beyond the grace of a drain, for trailers to clients that are slow to take them.
_STOP_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class AddressError(Exception):
    """The address cannot be listened on: it is in use, or not ours."""


class Server:
    """A gRPC server for some services, with health and reflection beside them.

    Built completely before it listens: a policy that is not total, a faulty rule or a servicer
    that does not fit its contract raises here.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        authenticator: Authenticator,
        policy: Policy,
        listen: str,
        revocations: Revocations | None = None,
        sightings: Sightings | None = None,
        health: Health | None = None,
        registry: CollectorRegistry | None = None,
        credentials: grpc.ServerCredentials | None = None,
        limits: Limits = DEFAULT_LIMITS,
        reuse_port: bool = False,
        trusted_proxies: int = 0,
    ) -> None:
        """`listen` is `host:port` (port 0: any) or `unix:path`; without credentials it serves plain text.

        `trusted_proxies` is the number of proxies in front that add to `x-forwarded-for`.
        """
        descriptors = [service.descriptor for service in services]
        check_total(policy, descriptors)
        self.health = health or Health(descriptor.full_name for descriptor in descriptors)
        self._listen = listen
        self._credentials = credentials
        self._options = server_options(limits, reuse_port=reuse_port)
        self._open_calls = OpenCalls(limits)
        if revocations is not None:
            revocations.subscribe(self._open_calls.end_seat)
        surroundings = Surroundings(
            admission=Admission(authenticator, revocations, self._open_calls, sightings),
            validation=Validation(),
            open_calls=self._open_calls,
            metrics=CallMetrics(registry or CollectorRegistry()),
            limits=limits,
            trusted_proxies=trusted_proxies,
        )
        self._handlers: Mapping[str, Handler] = {
            path: handler
            for service, its_policy in self._with_own(services, policy)
            for path, handler in method_handlers(service, its_policy, surroundings).items()
        }
        # A stream of anything for anything fits every call, as it can end without reading.
        self._unknown = grpc.stream_stream_rpc_method_handler(UnknownMethod(surroundings.metrics).handle)
        self._server: grpc.aio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port (1 for a unix socket); AddressError when the address is taken."""
        server = async_server(self._handlers, self._unknown, self._options)
        try:
            if self._credentials is None:
                port = server.add_insecure_port(self._listen)
            else:
                port = server.add_secure_port(self._listen, self._credentials)
        except RuntimeError as error:
            raise AddressError(f"cannot listen on {self._listen}") from error
        await server.start()
        self._server = server
        self._sweeper = asyncio.create_task(self._open_calls.sweep(), name="sweep-calls")
        _log.info("serving", listen=self._listen, port=port)
        return port

    async def drain(self, grace_seconds: float) -> None:
        """Go away without breaking anything, within the grace.

        Streams are told first and end with OK by themselves; unary calls run to their end; whatever
        is left when the grace is over ends with DRAINING, which clients retry elsewhere.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        self.health.drain()
        self._open_calls.start_draining()
        stopping = asyncio.create_task(server.stop(grace_seconds + _STOP_SECONDS), name="stop-server")
        try:
            async with asyncio.timeout(grace_seconds):
                await self._open_calls.emptied()
        except TimeoutError:
            self._open_calls.end_all(Reason.DRAINING)
        await stopping
        if self._sweeper is not None:
            self._sweeper.cancel()
        _log.info("drained", listen=self._listen)

    async def wait(self) -> None:
        """Wait until the server has stopped; raises what ended it, if that was a fault."""
        if self._server is not None:
            # Whoever waits no longer would otherwise cancel what gRPC itself waits for when it stops.
            await asyncio.shield(self._server.wait_for_termination())

    def _with_own(self, services: Sequence[Service], policy: Policy) -> list[tuple[Service, Policy]]:
        health, health_policy = health_service(self.health)
        descriptors = [service.descriptor for service in (*services, health)]
        reflection, reflection_policy = reflection_services(descriptors, _ERROR_CONTRACTS)
        return [
            *((service, policy) for service in services),
            (health, health_policy),
            *((service, reflection_policy) for service in reflection),
        ]
