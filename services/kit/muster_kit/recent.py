"""A memory of what was used of late, which forgets the rest."""

import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `capacity` values by key, none of them None; those used last stay.

    What nobody asks for goes after `idle_seconds` to twice that, as soon as something else comes: a
    process that has been busy once does not hold for ever what it held then.

    There are two halves. What is used is in the young one, or moves there; when that is full, or as old
    as said, it takes the place of the old one, which is dropped. So no time is kept with any value.
    """

    def __init__(
        self, *, capacity: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`capacity` is at least 2."""
        self._most = capacity // 2
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._turn_time = clock() + idle_seconds

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._young) + len(self._old)

    def __iter__(self) -> Iterator[V]:
        """Return the values that are here now, which may be dropped meanwhile."""
        return iter([*self._old.values(), *self._young.values()])

    def get(self, key: K) -> V | None:
        """Return a value, and keep it for longer."""
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of the one that is here."""
        self._old.pop(key, None)
        now = self._clock()
        if now >= self._turn_time or (len(self._young) >= self._most and key not in self._young):
            self._old, self._young = self._young, {}
            self._turn_time = now + self._idle_seconds
            self._old.pop(key, None)
        self._young[key] = value

    def drop(self, key: K) -> None:
        """Forget a value, if it is here."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young.clear()
        self._old.clear()
