"""Carries a session's removal to its end: scoring forgets it as well, and then its id is free."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason

from muster_session.model import REMOVAL_DEADLINE
from muster_session.store import Room
from muster_session.store_directory import Directory
from muster_session.store_scoring import Scoring

T = TypeVar("T")


class Removals:
    """Finishes removals, whoever began them, and makes way for who wants to use an id again.

    A removed session leaves its room, empty but for the deadline that says so; the room goes when
    scoring has forgotten the session. All of it may happen twice, and late: scoring forgets once for
    the id of a removal, and only the room in which that removal is due is let go.
    """

    def __init__(self, commands: Commands[Room], directory: Directory, scoring: Scoring) -> None:
        self._commands = commands
        self._directory = directory
        self._scoring = scoring

    async def finish_on_time(self, deadline: Deadline) -> None:
        """Have scoring forget the session; whatever it says, it is asked again until it has."""
        removal_id = deadline.key.removeprefix(REMOVAL_DEADLINE)
        await self._finish(deadline.organization_id, deadline.room_id, removal_id)

    async def making_way(
        self, organization_id: str, session_id: str, attempt: Callable[[], Awaitable[T]]
    ) -> T:
        """Return what `attempt` to make a session returns; a removal it runs into is finished first.

        Raises what `attempt` does, and UNAVAILABLE while the removal cannot be finished.
        """
        try:
            return await attempt()
        except MusterError as error:
            if error.reason is not Reason.ALREADY_EXISTS:
                raise
            removal_id = await self._directory.find_removal(organization_id, session_id)
            if removal_id is None:
                raise
        await self._finish(organization_id, session_id, removal_id)
        return await attempt()

    async def _finish(self, organization_id: str, session_id: str, removal_id: str) -> None:
        await self._scoring.delete_session(organization_id, session_id, removal_id)

        async def let_go(room: Room) -> None:
            if await room.cancel_deadline(REMOVAL_DEADLINE + removal_id):
                await room.remove()

        try:
            await self._commands.system(organization_id, session_id, let_go)
        except MusterError as error:
            # Somebody else has let it go.
            if error.reason is not Reason.NOT_FOUND:
                raise
