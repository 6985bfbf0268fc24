"""Several workers on one port over external stores, kept running by this process."""

import asyncio
import os
import signal
from collections.abc import Sequence

import structlog
from muster_kit.settings import Settings
from muster_kit.telemetry import configure_logging

from muster_stack.configuration import of_worker
from muster_stack.port import reserve, split_address
from muster_stack.processes import Worker
from muster_stack.supervisor import Notice, kept, started, until_told

_log = structlog.get_logger(__name__)


async def run_crew(services: Sequence[str], settings: Settings, workers: int) -> None:
    """Serve with several workers until told to stop; a Problem when they do not come up."""
    configure_logging(json=settings.log_json)
    with reserve(*split_address(settings.listen)) as port:
        environment = dict(os.environ) | {"MUSTER_LISTEN": port.address}
        crew = [
            Worker(
                number,
                services,
                environment=of_worker(environment, number),
                drain_seconds=settings.drain_seconds,
            )
            for number in range(1, workers + 1)
        ]

        async def serve() -> None:
            async with started(crew), kept(crew, _note):
                await asyncio.Event().wait()

        def hurry() -> None:
            for worker in crew:
                worker.send(signal.SIGTERM)

        await until_told(serve, hurry=hurry)


def _note(notice: Notice) -> None:
    _log.warning(f"worker_{notice.event}", worker=notice.unit, text=notice.text)
