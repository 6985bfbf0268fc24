"""Waiting for what nobody announces."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Wait until a condition, which may have to be awaited, is met; return what it found then.

    Raises TimeoutError.
    """
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            found = (await met) if isinstance(met, Awaitable) else met
            if found:
                return found
            await asyncio.sleep(0.002)
