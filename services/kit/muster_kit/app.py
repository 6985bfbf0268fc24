"""What a service's composition root gives to the process that hosts it."""

from collections.abc import Sequence
from typing import Protocol

from muster_kit.rpc.policy import Policy
from muster_kit.rpc.service import Service
from muster_kit.settings import Settings


class ServiceApp(Protocol):
    """One service, composed but not started; several of them may share a process and a port.

    The host calls `start` before it listens, `drain` when it is told to stop and while the last
    calls still run, and `close` after the last call; `close` also when `start` failed half-way.
    """

    @property
    def services(self) -> Sequence[Service]:
        """The contract's services, each with its servicer."""
        ...

    @property
    def policy(self) -> Policy:
        """Who may call what; total over `services`."""
        ...

    async def start(self) -> None:
        """Open the stores and start the background work.

        Stores that are away are no error: the service starts, says it is not ready, and goes on trying.
        """
        ...

    async def drain(self) -> None:
        """Tell open streams to reconnect elsewhere and take up no new background work."""
        ...

    async def close(self) -> None:
        """Finish background work and close the stores."""
        ...

    def ready(self) -> bool:
        """Whether calls can be answered now; asked about every second, so it must not block."""
        ...


class BuildApp(Protocol):
    """The shape of `muster_<service>.app.build`."""

    def __call__(self, settings: Settings) -> ServiceApp:
        """Compose the service; opens nothing yet."""
        ...
