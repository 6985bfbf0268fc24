"""Channels of a session: configured by its teachers, listed with who is on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog
from muster_kit.errors import MusterError, Reason

from muster_presence.model import ScopeId
from muster_presence.model_attended import Attended
from muster_presence.model_channels import MAIN, MOST_CHANNELS, Channel
from muster_presence.model_sheet import require_revision
from muster_presence.store import PresenceIndex
from muster_presence.store_attendance import AttendanceDirectory, AttendanceRoom, ChannelConfigured, Devices
from muster_presence.store_intervals import Intervals

_log = structlog.get_logger(__name__)

_NOBODY: Final = (0, None)


class ScopeDevices:
    """`Devices` over the index and the ledger, which know of no channels: all devices are on the main one."""

    def __init__(self, index: PresenceIndex, intervals: Intervals) -> None:
        self._index = index
        self._intervals = intervals

    async def connections(self, scope: ScopeId) -> Mapping[str, tuple[int, datetime | None]]:
        """Return how many devices are there, and the last activity."""
        try:
            tallies = await self._index.tallies(scope)
        except MusterError as error:
            # Counts are of the moment: without them there is still attendance.
            _log.warning("devices_not_counted", error=str(error))
            tallies = None
        devices = sum(tally.devices for tally in tallies.tallies) if tallies else 0
        last_activities = await self._intervals.last_activities(scope.organization_id, [scope])
        return {MAIN: (devices, last_activities.get(scope))}


async def configure_channel(
    room: AttendanceRoom,
    wanted: Channel,
    *,
    expected_revision: int,
    require: Callable[[Attended], None],
) -> Channel:
    """Make a channel or replace its configuration; a new one has the revision 1.

    MusterError: NOT_FOUND and what `require` raises, REVISION_STALE, TOO_LARGE for one channel too many.
    """
    attended = await room.attended()
    if attended is None:
        raise MusterError(Reason.NOT_FOUND)
    require(attended)
    known = await room.channel(wanted.name)
    require_revision(known.revision if known else 0, expected_revision)
    if known is None and await room.count_channels() >= MOST_CHANNELS:
        raise MusterError(Reason.TOO_LARGE, detail="too many channels")
    made = known.create_time if known else room.now
    after = replace(wanted, create_time=made, revision=known.revision + 1 if known else 1)
    await room.save_channel(after)
    room.append(ChannelConfigured(after))
    return after


async def list_channels(
    directory: AttendanceDirectory,
    devices: Devices,
    scope: ScopeId,
    *,
    with_hidden: bool,
    after: str,
    limit: int,
) -> Sequence[Channel]:
    """Return channels by name behind `after`, with who is on them; `main` is there without being configured.

    MusterError: UNAVAILABLE.
    """
    # They are few: what is missing between the configured ones is seen on all of them.
    configured = await directory.list_channels(scope, limit=MOST_CHANNELS)
    if not any(channel.name == MAIN for channel in configured):
        configured = sorted([*configured, Channel(name=MAIN)], key=lambda channel: channel.name)
    live = await devices.connections(scope)
    shown = []
    for channel in configured:
        if channel.name > after and (with_hidden or not channel.hidden_from_students):
            connections, last_activity = live.get(channel.name, _NOBODY)
            shown.append(replace(channel, connections=connections, last_activity=last_activity))
    return shown[:limit]
