"""Channels of a session: configured by its teachers, listed with who is on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from muster_kit.errors import MusterError, Reason

from muster_presence.model import ScopeId
from muster_presence.model_attended import Attended
from muster_presence.model_channels import MAIN, MOST_CHANNELS, Channel, OnChannel
from muster_presence.model_intervals import time_of_ms
from muster_presence.model_sheet import require_revision
from muster_presence.store import PresenceIndex
from muster_presence.store_attendance import AttendanceDirectory, AttendanceRoom, ChannelConfigured, Devices
from muster_presence.store_intervals import Intervals

_log = structlog.get_logger(__name__)


class ScopeDevices:
    """`Devices` over the index, which may be away or may have lost who acted when, and the ledger."""

    def __init__(self, index: PresenceIndex, intervals: Intervals) -> None:
        self._index = index
        self._intervals = intervals
        self._is_away = False

    async def connections(self, scope: ScopeId) -> Mapping[str, OnChannel]:
        """Return how many devices are on each channel that any is on, and the last activity there."""
        live = await self._live(scope)
        found = {
            name: OnChannel(devices, time_of_ms(act_ms) if act_ms else None)
            for name, (devices, act_ms) in (live or {}).items()
        }
        if any(each.last_activity for each in found.values()):
            return found
        # The ledger knows of no channels: nearly everybody is on the main one.
        last_activities = await self._intervals.last_activities(scope.organization_id, [scope])
        devices = None if live is None else found.get(MAIN, OnChannel()).devices
        return found | {MAIN: OnChannel(devices, last_activities.get(scope))}

    async def _live(self, scope: ScopeId) -> Mapping[str, tuple[int, int]] | None:
        try:
            tallies = await self._index.tallies(scope)
        except MusterError as error:
            # Counts are of the moment: without them there is still attendance.
            if not self._is_away:
                _log.warning("devices_not_counted", error=str(error))
            self._is_away = True
            return None
        self._is_away = False
        return tallies.channels if tallies is not None else {}


def total(channels: Mapping[str, OnChannel]) -> int | None:
    """Return how many devices there are on all channels, None while nobody knows."""
    counts = [each.devices for each in channels.values()]
    return None if None in counts else sum(filter(None, counts))


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
    configured = await directory.list_channels(scope, limit=MOST_CHANNELS + 1)
    if not any(channel.name == MAIN for channel in configured):
        configured = sorted([*configured, Channel(name=MAIN)], key=lambda channel: channel.name)
    live = await devices.connections(scope)
    shown = [
        channel.seen(live.get(channel.name, OnChannel()))
        for channel in configured
        if channel.name > after and (with_hidden or not channel.hidden_from_students)
    ]
    return shown[:limit]
