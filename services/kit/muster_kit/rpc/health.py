"""Tell load balancers and probes whether to send calls here (grpc.health.v1)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog
from grpc_health.v1 import health_pb2

from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.call import Call
from muster_kit.rpc.policy import Policy, Rule
from muster_kit.rpc.service import Service

_SERVING: Final[int] = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final[int] = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final[int] = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

LIVE: Final = "live"
"""The name that is SERVING as long as the process answers: for probes that restart what is stuck."""

_PROBE_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[object]]
"""Asks a store for a sign of life; raises when there is none."""


class Health:
    """What this process can do now: it serves while all it depends on is there, until it drains."""

    def __init__(self, services: Iterable[str]) -> None:
        """`services` are the full names that can be asked for, beside the empty one for all."""
        self._names = frozenset({"", *services})
        self._away: set[str] = set()
        self._draining = False
        self._changed = asyncio.Event()

    @property
    def names(self) -> frozenset[str]:
        """The names whose status is known."""
        return self._names | {LIVE}

    @property
    def draining(self) -> bool:
        """Whether the process is going away."""
        return self._draining

    def status(self, name: str) -> int:
        """Return the status of a service; SERVICE_UNKNOWN when it is not served here."""
        if name == LIVE:
            return _SERVING
        if name not in self._names:
            return _UNKNOWN
        serving = not self._draining and not self._away
        return _SERVING if serving else _NOT_SERVING

    def report(self, dependency: str, *, available: bool) -> None:
        """Say that a store or service this process needs is there, or is away."""
        if available == (dependency not in self._away):
            return
        if available:
            self._away.discard(dependency)
            _log.info("dependency_back", dependency=dependency)
        else:
            self._away.add(dependency)
            _log.warning("dependency_away", dependency=dependency)
        self._wake()

    def drain(self) -> None:
        """Serve no more, for good."""
        self._draining = True
        self._wake()

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    async def watch(self, probes: Mapping[str, Probe], *, every_seconds: float = 1.0) -> None:
        """Ask all stores for a sign of life, again and again, until cancelled."""
        while True:
            await asyncio.gather(*(self._probe(name, probe) for name, probe in probes.items()))
            await asyncio.sleep(every_seconds)

    async def _probe(self, name: str, probe: Probe) -> None:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await probe()
        except Exception:  # noqa: BLE001 - whatever the driver raises, the store is of no use now
            self.report(name, available=False)
        else:
            self.report(name, available=True)

    def _wake(self) -> None:
        # Whoever waits holds this event; later waits are for the next one.
        self._changed.set()
        self._changed = asyncio.Event()


class HealthServicer:
    """Serves grpc.health.v1; each watch waits by itself, so that a stalled one holds up no other."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(self, request: health_pb2.HealthCheckRequest, _: Call) -> health_pb2.HealthCheckResponse:
        """Return the status now; NOT_FOUND for services unknown here."""
        status = self._health.status(request.service)
        if status == _UNKNOWN:
            raise MusterError(Reason.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, _request: health_pb2.HealthListRequest, _: Call) -> health_pb2.HealthListResponse:
        """Return the status of everything known here."""
        response = health_pb2.HealthListResponse()
        for name in self._health.names:
            response.statuses[name].status = self._health.status(name)
        return response

    async def Watch(self, request: health_pb2.HealthCheckRequest, call: Call) -> None:
        """Send the status now and whenever it changes; ends once this process drains."""
        sent: int | None = None
        while True:
            status = self._health.status(request.service)
            if status != sent:
                await call.write(health_pb2.HealthCheckResponse(status=status))
                sent = status
                # It may have changed while the client was slow to read.
                continue
            if self._health.draining:
                return
            await self._health.changed()


def health_service(health: Health) -> tuple[Service, Policy]:
    """Return the service, and the rules that let anyone ask."""
    descriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]
    rules = {f"{descriptor.full_name}/{method.name}": Rule(public=True) for method in descriptor.methods}
    return Service(descriptor, HealthServicer(health)), rules
