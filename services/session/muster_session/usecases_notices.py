"""People are told where the sessions stand that they belong to."""

from collections.abc import Sequence
from typing import Final

import structlog
from muster_kit.clock import Clock
from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason

from muster_session.model import Session, Status, Verb
from muster_session.model_notices import (
    FAREWELL_DEADLINE,
    NOTICE_DEADLINE,
    TOLD_WITHIN,
    Farewell,
    Start,
    Telling,
    start_of,
    to_tell,
)
from muster_session.store import Room
from muster_session.store_directory import Directory
from muster_session.store_notices import Inboxes, Recipients
from muster_session.store_scoring import RefusedError

_USERS_A_CALL: Final = 1000
"""As many as the contract takes."""

_MOST_AT_ONCE: Final = 16
_MOST_IN_DOUBT: Final = 2

_log = structlog.get_logger(__name__)


async def plan_notice(room: Room, session: Session, verb: Verb, old_status: Status) -> None:
    """Have those told of a move who are to hear of it, as soon as it is durable."""
    telling = to_tell(session, verb, old_status, room.now)
    if telling is not None:
        await room.set_deadline(NOTICE_DEADLINE, room.now, telling.encode())


async def farewell_of(room: Room, session: Session) -> Farewell | None:
    """Return what would be left to tell of a session if it were removed now; None for nothing."""
    telling = await room.notices.left()
    if telling is None:
        return None
    user_ids = await room.notices.recipients(session, telling)
    return Farewell(start_of(session, telling), user_ids) if user_ids else None


class Notices:
    """Tells people, a page of them at a time, until all have been told.

    Each page is a deadline: it is asked again until it is done, by whichever worker is there, and what is
    asked twice is told once. While presence does not answer, few ask, so that those who hang leave the
    other deadlines of sessions their places.
    """

    def __init__(
        self,
        commands: Commands[Room],
        directory: Directory,
        recipients: Recipients,
        inboxes: Inboxes,
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._directory = directory
        self._recipients = recipients
        self._inboxes = inboxes
        self._clock = clock
        self._asking = 0
        self._is_in_doubt = False

    async def tell(self, deadline: Deadline) -> None:
        """Tell those whose turn it is. Raises UNAVAILABLE when they could not be told."""
        telling = Telling.decode(deadline.payload)
        told: list[str] = []
        session = await self._directory.find(deadline.organization_id, deadline.room_id)
        if session is not None and self._clock.now() - telling.time < TOLD_WITHIN:
            told += await self._recipients.page(session, telling, limit=_USERS_A_CALL)
            if told:
                await self._tell(deadline, start_of(session, telling), told)
        more = telling.behind(told[-1]) if len(told) == _USERS_A_CALL else None

        async def go_on(room: Room) -> None:
            if await room.complete_deadline(deadline) and more is not None:
                await room.set_deadline(NOTICE_DEADLINE, room.now, more.encode())

        await self._commands.system(deadline.organization_id, deadline.room_id, go_on)

    async def say_goodbye(self, deadline: Deadline) -> None:
        """Tell those whose turn it is of a session that has been removed. Raises UNAVAILABLE as `tell`."""
        farewell = Farewell.decode(deadline.payload)
        more = farewell.behind(_USERS_A_CALL)
        if self._clock.now() - farewell.start.stage_time < TOLD_WITHIN:
            await self._tell(deadline, farewell.start, farewell.user_ids[:_USERS_A_CALL])

        async def go_on(room: Room) -> None:
            if await room.complete_deadline(deadline) and more.user_ids:
                await room.set_deadline(FAREWELL_DEADLINE, room.now, more.encode())

        await self._commands.system(deadline.organization_id, deadline.room_id, go_on)

    async def _tell(self, deadline: Deadline, start: Start, user_ids: Sequence[str]) -> None:
        if self._asking >= (_MOST_IN_DOUBT if self._is_in_doubt else _MOST_AT_ONCE):
            raise MusterError(Reason.UNAVAILABLE, detail="presence is slow")
        self._asking += 1
        try:
            await self._inboxes.tell(deadline.organization_id, start, user_ids)
        except RefusedError as refused:
            _log.warning("notice_refused", session_id=start.session_id, detail=refused.detail)
        except MusterError:
            self._is_in_doubt = True
            raise
        finally:
            self._asking -= 1
        self._is_in_doubt = False
