"""Work that belongs to no stream: tasks that are kept until they end, and shared while they run."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable
from typing import Any, Final, TypeVar, cast

import structlog

T = TypeVar("T")

_CANCEL_AGAIN_SECONDS: Final = 0.1

_log = structlog.get_logger(__name__)


class Background:
    """Holds running tasks, so that none is collected half-way and none fails in silence."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, object], *, name: str) -> asyncio.Task[Any]:
        """Start `work`; a failure is logged under `name`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what runs, and wait for it."""
        await end(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background_work_failed", work=task.get_name(), exc_info=error)


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they are done; returns when all are."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        # Again after a while: before Python 3.12, `asyncio.wait_for`, which libraries use, loses a
        # cancellation that comes in the same moment as the result.
        await asyncio.wait(running, timeout=_CANCEL_AGAIN_SECONDS)


class Singleflight:
    """Whoever asks for what is being fetched already gets the answer of that fetch.

    A caller that is cancelled leaves the fetch running for the others; a failure goes to all.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return what `fetch` returns, called now or by whoever asked for `key` first."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(fetch())
            flight.add_done_callback(lambda _: self._land(key))
        return cast("T", await asyncio.shield(flight))

    def _land(self, key: Hashable) -> None:
        self._flights.pop(key, None)
        if not self._flights:
            # Emptied by `pop` it would keep the space that it has taken.
            self._flights.clear()

    async def close(self) -> None:
        """Cancel what is being fetched; whoever waits for it is cancelled too."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
