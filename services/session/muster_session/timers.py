"""What happens when a deadline of a session is due: each handler may run twice and acts once."""

from functools import partial

import structlog
from muster_kit.db import Deadline

from muster_session.model import RELEASE_DEADLINE, REMOVAL_DEADLINE
from muster_session.model_notices import FAREWELL_DEADLINE, NOTICE_DEADLINE
from muster_session.model_reports import REPORT_DEADLINE
from muster_session.parts import Parts
from muster_session.store_scoring import RefusedError, Scoring
from muster_session.usecases_notices import Notices
from muster_session.usecases_participants import SEAT_DEADLINE
from muster_session.usecases_reports import Reports
from muster_session.usecases_rounds import CLOSE_DEADLINE, FINISH_DEADLINE
from muster_session.usecases_status import LOBBY_DEADLINE, open_lobby_on_time

_log = structlog.get_logger(__name__)


class Timers:
    """Fires the deadlines of sessions."""

    def __init__(self, parts: Parts, scoring: Scoring, notices: Notices, reports: Reports) -> None:
        self._parts = parts
        self._notices = notices
        self._reports = reports
        self._scoring = scoring

    async def fire(self, deadline: Deadline) -> None:
        """Do what the deadline is about."""
        if deadline.key == LOBBY_DEADLINE:
            await self._open_lobby(deadline)
        elif deadline.key.startswith(CLOSE_DEADLINE):
            await self._parts.transitions.close_on_time(deadline)
        elif deadline.key.startswith(FINISH_DEADLINE):
            await self._parts.transitions.finish_on_time(deadline)
        elif deadline.key.startswith(SEAT_DEADLINE):
            await self._tell_of_seat(deadline)
        elif deadline.key == NOTICE_DEADLINE:
            await self._notices.tell(deadline)
        elif deadline.key == FAREWELL_DEADLINE:
            await self._notices.say_goodbye(deadline)
        elif deadline.key == REPORT_DEADLINE:
            await self._reports.report(deadline)
        elif deadline.key.startswith(REMOVAL_DEADLINE):
            await self._parts.removals.forget(deadline)
        elif deadline.key.startswith(RELEASE_DEADLINE):
            await self._parts.removals.release(deadline)
        else:
            # Of a newer release: its workers know what to do with it.
            _log.warning("deadline_unknown", session_id=deadline.room_id, key=deadline.key)

    async def _open_lobby(self, deadline: Deadline) -> None:
        length = await self._parts.code_length()
        await self._parts.commands.system(
            deadline.organization_id,
            deadline.room_id,
            partial(open_lobby_on_time, deadline=deadline, code_length=length),
        )

    async def _tell_of_seat(self, deadline: Deadline) -> None:
        """Tell everybody who keeps something about a seat what has become of it, as it is now."""
        participant_id = deadline.key.removeprefix(SEAT_DEADLINE)
        found = await self._parts.directory.find_with_seat(
            deadline.organization_id, deadline.room_id, participant_id=participant_id
        )
        if found is not None and (seat := found[1]) is not None:
            await self._parts.tickets.withdraw(seat)
            try:
                await self._scoring.update_seat(seat, deadline.organization_id)
            except RefusedError as refused:
                _log.warning("seat_refused", session_id=seat.session_id, detail=refused.detail)
        await self._parts.commands.system(
            deadline.organization_id, deadline.room_id, lambda room: room.complete_deadline(deadline)
        )
