"""Flushes of group commits that tests hold and let go."""

import asyncio
from collections.abc import Sequence


class Gate:
    """A flush that the test holds and lets go; it answers each number with its double."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Event()
        self.open = asyncio.Event()
        self.failure: BaseException | None = None

    async def flush(self, items: Sequence[int]) -> Sequence[int | BaseException]:
        self.batches.append(list(items))
        self.started.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return [ValueError(item) if item < 0 else 2 * item for item in items]
