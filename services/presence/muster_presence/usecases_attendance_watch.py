"""Watching the attendance of a session: what changed, in order, and how it stands from moment to moment."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.streams import Feed, Hub, Renewal, SharedView

from muster_presence.attendance_rooms import is_attendance, room_of
from muster_presence.model import ScopeId
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Book, Point, Record, count
from muster_presence.store_attendance import AttendanceDirectory, Devices
from muster_presence.usecases_attendance_access import taught_session
from muster_presence.usecases_attendance_reads import Observations, Sheets
from muster_presence.usecases_attendance_records import Observed
from muster_presence.usecases_channels import list_channels

Write: TypeAlias = Callable[[bytes], Awaitable[None]]

_VIEW: Final = "attendance"
_VIEWS_A_SECOND: Final = 1.0
_MOST_RECORDS: Final = 1000
_MOST_CHANNELS: Final = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a stream is wanted: from a cursor on, and so many frames (0: no limit)."""

    after: bytes
    max_frames: int
    replay_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a session's attendance stands; `version` grows with each change that is worth showing."""

    version: int
    now: Point
    channels: Sequence[Channel]
    records: Sequence[Record]

    def is_as(self, other: "Standing") -> bool:
        """Tell whether another one shows the same."""
        same_time = replace(other.now, record_time=self.now.record_time)
        return (
            same_time == self.now
            and list(other.channels) == list(self.channels)
            and _shown(other.records) == _shown(self.records)
        )

    def news(self, last: "Standing") -> Sequence[Record]:
        """Return the records that show something else than in the last one."""
        before = _shown(last.records)
        return [record for record in self.records if before.get(record.user_id) != _look(record)]


@dataclass(frozen=True, slots=True)
class AttendanceShapes:
    """Makes the contract's messages, serialized: of a sheet with its channels, and of a standing."""

    snapshot: Callable[[Book, Sequence[Record], Sequence[Channel]], bytes]
    view: Callable[[Standing, Sequence[Record]], bytes]


class AttendanceWatches:
    """The attendance of sessions as streams; who watches sees it looked at as often as it is kept."""

    def __init__(
        self,
        hub: Hub,
        directory: AttendanceDirectory,
        sheets: Sheets,
        observations: Observations,
        devices: Devices,
        shapes: AttendanceShapes,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._directory = directory
        self._sheets = sheets
        self._observations = observations
        self._devices = devices
        self._shapes = shapes
        self._clock = clock
        self._watched: Counter[str] = Counter()
        self._standings: dict[str, Standing] = {}
        hub.on_run(lambda room_id, _: self._touch(room_id))

    async def watch(self, caller: Caller, session_id: str, extent: Extent, write: Write) -> None:
        """Stream the attendance of a session of the caller's until the stream ends.

        MusterError: NOT_FOUND, UNAVAILABLE.
        """
        attended = await taught_session(self._directory, caller, session_id)
        scope = attended.scope
        room_id = room_of(scope)
        async with self._hub.open(
            scope.organization_id,
            room_id,
            extent.after,
            snapshot=partial(self._snapshot, scope),
            # Only teachers of the session watch it, who all see the same.
            snapshot_key=room_id,
            max_frames=extent.max_frames,
            replay_only=extent.replay_only,
            renewal=Renewal.never(caller.expire_time, self._clock.now()),
        ) as feed:
            await self._serve(feed, scope, write)

    async def keep_looking(self, every: timedelta) -> None:
        """Have what is watched looked at anew, until cancelled: minutes pass without anything happening."""
        while True:
            await asyncio.sleep(every.total_seconds())
            for room_id in list(self._watched):
                self._touch(room_id)

    async def _serve(self, feed: Feed, scope: ScopeId, write: Write) -> None:
        room = feed.room
        self._watched[room.room_id] += 1
        try:
            room.compute(_VIEW, partial(self._view, scope), rate_per_second=_VIEWS_A_SECOND)
            await feed.serve(write)
        finally:
            self._watched[room.room_id] -= 1
            if not self._watched[room.room_id]:
                del self._watched[room.room_id]
                self._standings.pop(room.room_id, None)

    async def _snapshot(self, scope: ScopeId) -> tuple[int, bytes]:
        sheet = await self._sheets.read(scope)
        channels = await self._channels(scope)
        return sheet.seq, self._shapes.snapshot(sheet.book, sheet.records[:_MOST_RECORDS], channels)

    async def _view(self, scope: ScopeId) -> SharedView:
        room_id = room_of(scope)
        standing, last = await self._standing(scope), self._standings.get(room_id)
        if last is not None and standing.is_as(last):
            standing = last
        if room_id in self._watched:
            self._standings[room_id] = standing

        def delta(version: int) -> bytes | None:
            if last is None or version != last.version:
                return None
            return self._shapes.view(standing, standing.news(last))

        return SharedView(
            standing.version, whole=lambda: self._shapes.view(standing, standing.records), delta=delta
        )

    async def _standing(self, scope: ScopeId) -> Standing:
        now = self._clock.now()
        sheet = await self._sheets.read(scope)
        stays = sheet.stays
        seen = Observed(stays=await self._observations.stays(scope) if stays is None else stays)
        channels = await self._channels(scope)
        connections = sum(channel.connections for channel in channels)
        return Standing(
            version=int(now.timestamp() * 1000),
            now=count(sheet.records, seen.here(now), connections=connections, now=now),
            channels=channels,
            records=sheet.records[:_MOST_RECORDS],
        )

    async def _channels(self, scope: ScopeId) -> Sequence[Channel]:
        return await list_channels(
            self._directory, self._devices, scope, with_hidden=True, after="", limit=_MOST_CHANNELS
        )

    def _touch(self, room_id: str) -> None:
        room = self._hub.room(room_id) if is_attendance(room_id) else None
        if room is not None:
            room.touch(_VIEW)


def _look(record: Record) -> tuple[object, ...]:
    # Seconds pass all the time: what is told in words is what is worth telling.
    return record.status, record.computed.status, record.computed.explanation, record.revision


def _shown(records: Sequence[Record]) -> Mapping[str, tuple[object, ...]]:
    return {record.user_id: _look(record) for record in records}
