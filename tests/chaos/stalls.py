"""Tells how long this process stood still, so that a busy machine is not taken for an unfair server."""

import asyncio
from types import TracebackType
from typing import Self

_STEP_SECONDS = 0.005


class StallMeter:
    """While entered, notes the longest time for which the loop did not run when it should have."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _STEP_SECONDS
            await asyncio.sleep(_STEP_SECONDS)
            self.longest_seconds = max(self.longest_seconds, loop.time() - due)
