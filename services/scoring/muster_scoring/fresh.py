"""What was read a moment ago, so that many who ask cause few queries."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from muster_kit.recent import Recent
from muster_kit.streams.background import Singleflight

K = TypeVar("K")
V = TypeVar("V")

_CAPACITY: Final = 4096
_FRESH_SECONDS: Final = 1.0


class Fresh(Generic[K, V]):
    """Values by key, read anew when what is here is older than a second."""

    def __init__(self, read: Callable[[K], Awaitable[V | None]]) -> None:
        """`read` returns None when there is no such value."""
        self._read = read
        self._values = Recent[K, tuple[float, V]](capacity=_CAPACITY, idle_seconds=_FRESH_SECONDS)
        self._flights = Singleflight()

    async def get(self, key: K) -> V | None:
        """Return a value; None, which is never kept, when a reading begun after this call found none."""
        now = asyncio.get_running_loop().time()
        if (cached := self._values.get(key)) is not None and now - cached[0] < _FRESH_SECONDS:
            return cached[1]
        value = await self._flights.run(key, lambda: self._read(key))
        if value is None:
            # That may have been somebody's earlier reading, and whoever made it since must find it.
            value = await self._flights.run(key, lambda: self._read(key))
        if value is None:
            self._values.drop(key)
        else:
            self._values.put(key, (now, value))
        return value

    def forget(self, key: K) -> None:
        """Have a value read anew; what is being read may still come, and is good for a second."""
        self._values.drop(key)

    async def close(self) -> None:
        """Stop reading."""
        await self._flights.close()
