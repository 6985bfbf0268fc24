"""What happens when a deadline of presence is due, by the kind of room it is of."""

import structlog
from muster_kit.db import Deadline

from muster_presence.attendance_rooms import is_attendance
from muster_presence.usecases_attendance_reports import AttendanceTimers

_log = structlog.get_logger(__name__)


class Timers:
    """Fires the deadlines of all rooms."""

    def __init__(self, attendance: AttendanceTimers) -> None:
        self._attendance = attendance

    async def fire(self, deadline: Deadline) -> None:
        """Do what the deadline is about."""
        if is_attendance(deadline.room_id) and deadline.key in self._attendance.keys:
            await self._attendance.fire(deadline)
        else:
            # Of a newer release: its workers know what to do with it.
            _log.warning("deadline_unknown", room_id=deadline.room_id, key=deadline.key)
