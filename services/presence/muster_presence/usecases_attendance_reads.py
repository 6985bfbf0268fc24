"""Reading attendance: sheets of sessions as of any time, and lists of records over sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from muster_kit.caller import Caller, OrganizationRole
from muster_kit.clock import Clock
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model import ScopeId
from muster_presence.model_attendance import AttendanceRule
from muster_presence.model_sheet import Book, Record, Stay, make_sheet
from muster_presence.model_spans import Span
from muster_presence.store_attendance import AttendanceDirectory, Devices, RecordFilter
from muster_presence.store_intervals import Intervals
from muster_presence.usecases_attendance_access import sees_all, taught_session
from muster_presence.usecases_attendance_records import Observed
from muster_presence.usecases_channels import total


class Observations:
    """What is seen from outside of the attendance of sessions."""

    def __init__(self, intervals: Intervals, devices: Devices) -> None:
        self._intervals = intervals
        self._devices = devices

    async def stays(self, scope: ScopeId, as_of: datetime | None = None) -> Sequence[Stay]:
        """Return when people were there, as it is known now or as it was at a time; raises UNAVAILABLE."""
        found = await self._intervals.of_scope(scope, as_of=as_of)
        return [
            Stay(
                user_id=stay.user_id,
                display_name=stay.display_name,
                role=stay.role,
                span=Span(stay.enter_time, stay.leave_time),
            )
            for stay in found
        ]

    async def see(self, scope: ScopeId) -> Observed:
        """Return what there is to see now; raises UNAVAILABLE."""
        stays = await self.stays(scope)
        connections = await self._devices.connections(scope)
        acted = {name: each.last_activity for name, each in connections.items()}
        return Observed(
            stays=stays,
            connections=total(connections),
            activities={name: time for name, time in acted.items() if time is not None},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A session's book, the records by name, and the seq of the log they are at.

    `stays` are what they were computed from, None for what was settled.
    """

    book: Book
    records: Sequence[Record]
    seq: int
    stays: Sequence[Stay] | None


class Sheets:
    """Makes the attendance sheets of sessions."""

    def __init__(
        self,
        directory: AttendanceDirectory,
        observations: Observations,
        deployment_rule: AttendanceRule,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._observations = observations
        self._rule = deployment_rule
        self._clock = clock

    async def read(self, scope: ScopeId, as_of: datetime | None = None) -> Sheet:
        """Return the sheet as of now or of a time; MusterError: NOT_FOUND, UNAVAILABLE."""
        now = self._clock.now()
        if as_of is not None and as_of > now:
            as_of = None
        book, seq = await self._directory.book(scope, as_of)
        is_settled = book.attended.settle_time is not None and (
            as_of is None or book.attended.settle_time <= as_of
        )
        stays = None if is_settled else await self._observations.stays(scope, as_of)
        records = make_sheet(book, stays or (), self._rule, as_of=as_of or now)
        return Sheet(book=book, records=records, seq=seq, stays=stays)


def within_sight(caller: Caller, wanted: RecordFilter) -> RecordFilter:
    """Return the filter narrowed to what the caller may see.

    Everyone sees their own records, teachers those of their sessions, owners and admins all.
    PERMISSION_DENIED for members who ask for others, and for tickets, which are for one session alone.
    """
    if caller.is_ticket:
        raise MusterError(Reason.PERMISSION_DENIED, detail="a ticket is for its session alone")
    if sees_all(caller) or (wanted.user_id and wanted.user_id == caller.subject):
        return wanted
    if caller.organization_role is None or caller.organization_role is OrganizationRole.MEMBER:
        raise MusterError(Reason.PERMISSION_DENIED, detail="asks for the records of others")
    return replace(wanted, run_by=caller.subject)


async def sheet_for(
    directory: AttendanceDirectory, sheets: Sheets, caller: Caller, session_id: str, as_of: datetime | None
) -> Sheet:
    """Return the sheet of a session of the caller's; MusterError: NOT_FOUND, UNAVAILABLE."""
    attended = await taught_session(directory, caller, session_id)
    return await sheets.read(attended.scope, as_of)


def require_no_time(as_of: datetime | None) -> None:
    """Raise MusterError(INVALID_FIELD) for a time at which only a single session's records are known."""
    if as_of is not None:
        violation = Violation("as_of_time", "is for the records of a session")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
