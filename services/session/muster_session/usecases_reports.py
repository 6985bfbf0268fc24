"""Presence is told where sessions stand, for attendance."""

from typing import Final

import structlog
from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason

from muster_session.model import Session, StatusChange
from muster_session.model_reports import REPORT_DEADLINE, report_of
from muster_session.store import Room
from muster_session.store_directory import Directory
from muster_session.store_reports import Register
from muster_session.store_scoring import RefusedError

_CHANGES_A_TIME: Final = 1000
_MOST_AT_ONCE: Final = 8

_log = structlog.get_logger(__name__)


async def plan_report(room: Room) -> None:
    """Have presence told of what changes here, as soon as it is durable."""
    await room.set_deadline(REPORT_DEADLINE, room.now)


class Reports:
    """Reports sessions, again until presence has taken it: without that there is no attendance.

    Few ask at once, so that those who hang while presence is away leave the other deadlines their places.
    """

    def __init__(self, commands: Commands[Room], directory: Directory, register: Register) -> None:
        self._commands = commands
        self._directory = directory
        self._register = register
        self._asking = 0

    async def report(self, deadline: Deadline) -> None:
        """Report a session as it is now. Raises UNAVAILABLE when presence did not take it."""
        if self._asking >= _MOST_AT_ONCE:
            raise MusterError(Reason.UNAVAILABLE, detail="presence is slow")
        self._asking += 1
        try:
            # Read first: what changes later has a deadline of its own, and this one will not count any more.
            session = await self._directory.find(deadline.organization_id, deadline.room_id)
            if session is not None:
                await self._register.report(report_of(session, await self._changes(session)))
        except RefusedError as refused:
            _log.warning("report_refused", session_id=deadline.room_id, detail=refused.detail)
        finally:
            self._asking -= 1
        await self._commands.system(
            deadline.organization_id, deadline.room_id, lambda room: room.complete_deadline(deadline)
        )

    async def _changes(self, session: Session) -> list[StatusChange]:
        changes: list[StatusChange] = []
        after = 0
        while True:
            page = await self._directory.list_changes(
                session.organization_id, session.session_id, after=after, limit=_CHANGES_A_TIME
            )
            changes += [change for _, change in page]
            if len(page) < _CHANGES_A_TIME:
                return changes
            after = page[-1][0]
