"""The newest snapshots of one room, taken once for everybody who comes while it does not change."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from muster_kit.clock import Clock
from muster_kit.streams import frames
from muster_kit.streams.background import Singleflight
from muster_kit.streams.cursor import Cursor

TakeSnapshot: TypeAlias = Callable[[], Awaitable[tuple[int, bytes]]]
"""Reads a room's state and the seq it is of in one transaction; returns (seq, serialized snapshot)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot frame: the room after event `seq`."""

    epoch: int
    seq: int
    body: bytes
    place: bytes
    made: float


class Snapshots:
    """Snapshots by key; whoever sees the same room the same way shares a key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights = Singleflight()
        self._kept: dict[Hashable, Snapshot] = {}

    async def get(self, key: Hashable, take: TakeSnapshot, *, epoch: int, head: int) -> Snapshot:
        """Return a snapshot of `head` or later, or one that was being taken already.

        The latter may be older than `head`, but not than the head when it was begun: the caller
        sends the events that are missing, as it does after every snapshot.
        """
        shelf = self._kept
        kept = shelf.get(key)
        if kept is not None and kept.epoch == epoch and kept.seq >= head:
            return kept

        async def fetch() -> Snapshot:
            seq, payload = await take()
            made = asyncio.get_running_loop().time()
            body = frames.snapshot(self._clock.now(), payload)
            taken = Snapshot(epoch, seq, body, frames.place(Cursor(epoch, seq)), made)
            # Those of an older head are of no use any more, whatever their key.
            for old in [k for k, v in shelf.items() if v.epoch != epoch or v.seq < seq]:
                del shelf[old]
            shelf[key] = taken
            return taken

        return await self._flights.run((id(shelf), epoch, key), fetch)

    def clear(self) -> None:
        """Forget them, also those that are being taken now."""
        self._kept = {}

    async def close(self) -> None:
        """Stop taking any."""
        await self._flights.close()
