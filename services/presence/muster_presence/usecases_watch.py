"""Watching scopes: who comes, changes and goes, and how many there are."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.streams import Feed, Hub, Renewal, SharedView

from muster_presence.model import ScopeId
from muster_presence.store import PresenceIndex, ScopeRooms, Tallies
from muster_presence.usecases_access import Doors, Place
from muster_presence.usecases_reads import Counts, Wanted, count, require_certain

Write: TypeAlias = Callable[[bytes], Awaitable[None]]

_COUNTS: Final = "counts"
_COUNTS_A_SECOND: Final = 4
_CHECK_SECONDS: Final = 5.0
_MOST_IN_SNAPSHOT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a stream is wanted: from a cursor on, so many frames (0: no limit), counts alone."""

    after: bytes
    max_frames: int
    replay_only: bool
    counts_only: bool


@dataclass(frozen=True, slots=True)
class Shapes:
    """Makes the contract's messages of people and of counts."""

    snapshot: Callable[[Sequence[bytes]], bytes]
    view: Callable[[Counts], bytes]


class ScopeWatches:
    """Scopes as streams. The log of a scope is read by the hub; counts are computed anew when it says so."""

    def __init__(
        self, hub: Hub, index: PresenceIndex, rooms: ScopeRooms, doors: Doors, shapes: Shapes, clock: Clock
    ) -> None:
        self._hub = hub
        self._index = index
        self._rooms = rooms
        self._doors = doors
        self._shapes = shapes
        self._clock = clock
        self._counting: Counter[str] = Counter()
        hub.on_run(lambda room_id, _: self._touch(room_id))
        hub.on_signal(lambda room_id, _: self._touch(room_id))

    async def watch(
        self, caller: Caller, place: Place, *, include_staff: bool, extent: Extent, write: Write
    ) -> None:
        """Stream a scope until the stream ends. Raises NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE."""
        sight = self._doors.look(caller, place, include_staff=include_staff)
        scope, with_staff = sight.scope, sight.with_staff
        if not await self._rooms.begin(scope, begins_anew=sight.certain):
            require_certain(sight)
        room_id = self._rooms.room_of(scope, with_staff=with_staff)
        renewal = Renewal.never(caller.expire_time, self._clock.now())
        if extent.counts_only:
            async with self._hub.open_views(
                room_id,
                max_frames=extent.max_frames,
                replay_only=extent.replay_only,
                renewal=renewal,
            ) as feed:
                await self._serve(feed, scope, write, with_staff=with_staff)
            return
        async with self._hub.open(
            scope.organization_id,
            room_id,
            extent.after,
            snapshot=partial(self._snapshot, scope, room_id, with_staff=with_staff),
            # Staff and others watch different rooms: all in one see the same.
            snapshot_key=room_id,
            max_frames=extent.max_frames,
            replay_only=extent.replay_only,
            renewal=renewal,
        ) as feed:
            await self._serve(feed, scope, write, with_staff=with_staff)

    async def keep_checking(self) -> None:
        """Count anew now and then, until cancelled: an index that lost everything says nothing of it."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            for room_id in list(self._counting):
                self._touch(room_id)

    async def _serve(self, feed: Feed, scope: ScopeId, write: Write, *, with_staff: bool) -> None:
        room = feed.room
        if _COUNTS not in room.views.offered:
            # There is a view before the first frame, also for whoever takes only one.
            room.offer(_COUNTS, await self._counts(scope, with_staff=with_staff))
        room.compute(
            _COUNTS, partial(self._counts, scope, with_staff=with_staff), rate_per_second=_COUNTS_A_SECOND
        )
        self._counting[room.room_id] += 1
        try:
            await feed.serve(write)
        finally:
            self._counting[room.room_id] -= 1
            if not self._counting[room.room_id]:
                del self._counting[room.room_id]

    async def _snapshot(self, scope: ScopeId, room_id: str, *, with_staff: bool) -> tuple[int, bytes]:
        page = await self._index.snapshot(scope, limit=_MOST_IN_SNAPSHOT, with_staff=with_staff)
        # After a loss nothing else may tell that the counts are others.
        self._touch(room_id)
        return page.seq, self._shapes.snapshot([packed for _, packed in page.people])

    async def _counts(self, scope: ScopeId, *, with_staff: bool) -> SharedView:
        tallies = await self._index.tallies(scope)
        counted = count(tallies or Tallies(0, ()), Wanted(include_staff=with_staff))
        return SharedView(counted.version, whole=partial(self._shapes.view, counted))

    def _touch(self, room_id: str) -> None:
        room = self._hub.room(room_id)
        if room is not None:
            room.touch(_COUNTS)
