"""Word of where sessions stand, and what is due in their attendance."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.attendance_rooms import room_of, scope_of_room
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_attended import Attended
from muster_presence.store_attendance import AttendanceDirectory, AttendanceRoom, Roster, Rosters
from muster_presence.usecases_access import Place, require_service_for, scope_of
from muster_presence.usecases_attendance_course import (
    LOOK_DEADLINE,
    ROSTER_DEADLINE,
    SETTLE_DEADLINE,
    look_again,
    report_scope,
    settle,
    take_roster,
)
from muster_presence.usecases_attendance_reads import Observations
from muster_presence.usecases_attendance_records import Custom


class ScopeReports:
    """Takes in where sessions stand, with who is expected in them."""

    def __init__(self, commands: Commands[AttendanceRoom], rosters: Rosters, custom: Custom) -> None:
        self._commands = commands
        self._rosters = rosters
        self._custom = custom

    async def report(
        self, caller: Caller, told: Attended, *, change_time: datetime, request: Message, response: Message
    ) -> bytes:
        """Take in a report; MusterError(UNAVAILABLE) also while the session service does not answer."""
        roster = await self._roster(told)
        acting = replace(caller, organization_id=told.scope.organization_id)
        work = partial(report_scope, told=told, roster=roster, custom=self._custom, change_time=change_time)

        def encode(_: None) -> Message:
            return response

        room_id = room_of(told.scope)
        try:
            return await self._commands.run(acting, room_id, work, request=request, encode=encode)
        except MusterError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        # The first of it. The room is made apart, as the answer to a request is found by the room it was for.
        with _unless_there():
            await self._commands.create(acting, room_id, _nothing, request=response, encode=encode)
        return await self._commands.run(acting, room_id, work, request=request, encode=encode)

    async def _roster(self, told: Attended) -> Roster | None:
        if told.scope.kind is not ScopeKind.SESSION or not told.class_ids:
            return Roster(students=())
        return await self._rosters.roster(told.scope, told.class_ids)


def reported_scope(caller: Caller, organization_id: str, place: Place) -> ScopeId:
    """Return what a service reports of.

    MusterError: PERMISSION_DENIED when it does not act for the organization, INVALID_FIELD for what is
    neither a session nor a workout.
    """
    require_service_for(caller, organization_id)
    if place.kind is ScopeKind.ORGANIZATION:
        violation = Violation("scope.kind", "must be a session or a workout")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
    return scope_of(organization_id, place)


@contextmanager
def _unless_there() -> Iterator[None]:
    try:
        yield
    except MusterError as error:
        if error.reason is not Reason.ALREADY_EXISTS:
            raise


async def _nothing(_: AttendanceRoom) -> None:
    pass


class AttendanceTimers:
    """Fires the deadlines of attendance; each may run twice and acts once."""

    def __init__(
        self,
        commands: Commands[AttendanceRoom],
        directory: AttendanceDirectory,
        rosters: Rosters,
        observations: Observations,
        custom: Custom,
    ) -> None:
        self._commands = commands
        self._directory = directory
        self._rosters = rosters
        self._observations = observations
        self._custom = custom

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the deadlines this is about."""
        return LOOK_DEADLINE, ROSTER_DEADLINE, SETTLE_DEADLINE

    async def fire(self, deadline: Deadline) -> None:
        """Look at a session that runs, ask who is expected in it, or settle one that is over.

        Raises UNAVAILABLE, also while the session service does not say who is expected.
        """
        scope = scope_of_room(deadline.room_id)
        work: Callable[[AttendanceRoom], Awaitable[None]]
        # Before the room is held: all of that is read over other connections.
        seen = await self._observations.see(scope)
        if deadline.key == ROSTER_DEADLINE:
            attended = await self._directory.find(scope)
            roster = await self._rosters.roster(scope, attended.class_ids if attended else ())
            work = partial(take_roster, deadline=deadline, roster=roster, seen=seen, custom=self._custom)
        else:
            act = settle if deadline.key == SETTLE_DEADLINE else look_again
            work = partial(act, deadline=deadline, seen=seen, custom=self._custom)
        await self._commands.system(deadline.organization_id, deadline.room_id, work)
