"""The newest snapshots of one room, taken once for everybody who comes within a moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from muster_kit.clock import Clock
from muster_kit.streams import frames
from muster_kit.streams.background import Singleflight
from muster_kit.streams.cursor import Cursor
from muster_kit.streams.tuning import Tuning

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

    def __init__(self, clock: Clock, tuning: Tuning) -> None:
        self._clock = clock
        self._tuning = tuning
        self._flights = Singleflight()
        self._kept: dict[Hashable, Snapshot] = {}

    async def get(
        self, key: Hashable, take: TakeSnapshot, *, epoch: int, head: int, oldest_at_hand: int, newest: bool
    ) -> Snapshot:
        """Return a snapshot, which the caller follows with the events that it lacks.

        While people pour in, every one of them changes the room. So one that is a moment old will do
        as long as its events are few, and all are at hand, those from `oldest_at_hand` to `head`; and
        so will one that is being taken already. With `newest` only a kept one of `head` does.
        """
        shelf = self._kept
        kept = shelf.get(key)
        if kept is not None and kept.epoch == epoch and kept.seq + 1 >= oldest_at_hand:
            now = asyncio.get_running_loop().time()
            if kept.seq >= head or not (newest or self._is_old(kept, head=head, now=now)):
                return kept

        async def fetch() -> Snapshot:
            seq, payload = await take()
            made = asyncio.get_running_loop().time()
            body = frames.snapshot(self._clock.now(), payload)
            taken = Snapshot(epoch, seq, body, frames.place(Cursor(epoch, seq)), made)
            # What is of no use any more goes, whatever its key.
            for old, kept in list(shelf.items()):
                if kept.epoch != epoch or (kept.seq < seq and self._is_old(kept, head=seq, now=made)):
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

    def _is_old(self, kept: Snapshot, *, head: int, now: float) -> bool:
        tuning = self._tuning
        return now - kept.made > tuning.snapshot_seconds or head - kept.seq > tuning.snapshot_events
