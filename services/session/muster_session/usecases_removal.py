"""Carries a session's removal to its end: its streams end, scoring forgets it, and at last its id is free."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason

from muster_session.model import RELEASE_DEADLINE, REMOVAL_DEADLINE
from muster_session.store import Room
from muster_session.store_scoring import Scoring


class Removals:
    """Finishes removals, whoever began them.

    A removed session leaves its room, empty but for a deadline, so that its id stays taken: whoever
    holds a ticket to it would be let into another session of the same id. When the last ticket has run
    out scoring is told again, for what came late, such as word of a seat that was sent away; then the
    room goes. All of it may happen twice: scoring forgets once for each of the two deadlines.
    """

    def __init__(
        self,
        commands: Commands[Room],
        scoring: Scoring,
        end_streams: Callable[[str], Awaitable[None]],
        *,
        ticket_lifetime: timedelta,
    ) -> None:
        """`end_streams` of a session, in every process; what it misses ends by itself."""
        self._commands = commands
        self._scoring = scoring
        self._end_streams = end_streams
        # One that was renewed in the moment of the removal, by a clock that is not quite ours, counts too.
        self._kept = ticket_lifetime * 1.1

    async def forget(self, deadline: Deadline) -> None:
        """End the streams and have scoring forget the session; it is asked again until it has."""
        await self._end_streams(deadline.room_id)
        await self._forget_at_scoring(deadline)
        release = RELEASE_DEADLINE + deadline.key.removeprefix(REMOVAL_DEADLINE)

        async def wait(room: Room) -> None:
            if await room.complete_deadline(deadline):
                await room.set_deadline(release, room.now + self._kept)

        await self._commands.system(deadline.organization_id, deadline.room_id, wait)

    async def release(self, deadline: Deadline) -> None:
        """Have scoring forget what came since, and let the id go."""
        await self._forget_at_scoring(deadline)

        async def let_go(room: Room) -> None:
            if await room.complete_deadline(deadline):
                await room.remove()

        try:
            await self._commands.system(deadline.organization_id, deadline.room_id, let_go)
        except MusterError as error:
            # Somebody else has let it go.
            if error.reason is not Reason.NOT_FOUND:
                raise

    async def _forget_at_scoring(self, deadline: Deadline) -> None:
        await self._scoring.delete_session(deadline.organization_id, deadline.room_id, deadline.key)
