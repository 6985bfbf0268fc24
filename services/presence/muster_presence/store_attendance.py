"""What the use cases write and look up of attendance, always of one organization."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_kit.db import Deadline

from muster_presence.model import ScopeId
from muster_presence.model_attendance import AttendanceRule, Status
from muster_presence.model_attended import Attended
from muster_presence.model_channels import Channel, OnChannel
from muster_presence.model_sheet import Book, Change, Mark, Point, Record, SessionRule, Student

Place = tuple[str, str]
"""Where in a list that goes by a text: the text's sort key, and the id of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who is expected in a session, and who teaches those classes."""

    students: Sequence[Student]
    teacher_user_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which stored records to list, of one user or one class; empty fields ask for nothing.

    `run_by` leaves those of sessions that this user hosts or whose class they teach.
    """

    user_id: str = ""
    class_id: str = ""
    statuses: frozenset[Status] = frozenset()
    start_time: datetime | None = None
    end_time: datetime | None = None
    run_by: str = ""


@dataclass(frozen=True, slots=True)
class RuleChanged:
    """An event: the rule is another."""

    rule: AttendanceRule


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """An event: what counts changed for someone."""

    change: Change
    record: Record


@dataclass(frozen=True, slots=True)
class Settled:
    """An event: the session is over and its attendance final."""

    result: Point


@dataclass(frozen=True, slots=True)
class ChannelConfigured:
    """An event: a channel was made or configured."""

    channel: Channel


Event = RuleChanged | RecordChanged | Settled | ChannelConfigured


class AttendanceRoom(Protocol):
    """The attendance of one session in a running transaction, which nobody else writes meanwhile.

    What a use case does here is there as a whole, or not at all.
    """

    @property
    def scope(self) -> ScopeId:
        """Which session or workout."""
        ...

    @property
    def now(self) -> datetime:
        """The database's time, which does not go back."""
        ...

    async def attended(self) -> Attended | None:
        """Return what was reported of it; None before the first report."""
        ...

    async def save_attended(self, attended: Attended) -> None:
        """Store what was reported."""
        ...

    async def put_students(self, students: Sequence[Student]) -> None:
        """Replace the roster; who is no longer in it stays known for as-of questions."""
        ...

    async def book(self) -> Book:
        """Return all that is kept; MusterError(NOT_FOUND) before the first report."""
        ...

    async def add_rule(self, rule: SessionRule, by: str) -> None:
        """Store the rule with its revision, beside those before it."""
        ...

    async def add_marks(self, marks: Sequence[Mark]) -> None:
        """Append marks, each of which counts from now on instead of those before it."""
        ...

    async def save_records(
        self, attended: Attended, records: Sequence[Record], students: Collection[Student]
    ) -> None:
        """Store records as they are, each with its revision."""
        ...

    async def remove_records(self, user_ids: Collection[str]) -> None:
        """Take records off; what their history says stays."""
        ...

    async def erased(self, user_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return when those of the people were erased who were; what they did until then is not kept."""
        ...

    async def add_changes(self, changes: Sequence[Change]) -> None:
        """Append to the history of changes, in this order."""
        ...

    async def last_point(self) -> Point | None:
        """Return the newest point."""
        ...

    async def add_point(self, point: Point, *, instead_of: Point | None = None) -> None:
        """Append a point, or put it in the place of the newest one."""
        ...

    async def channel(self, name: str) -> Channel | None:
        """Return a channel, None when it was never configured."""
        ...

    async def count_channels(self) -> int:
        """Return how many channels there are."""
        ...

    async def note_activities(self, activities: Mapping[str, datetime]) -> None:
        """Keep when somebody last did something on channels; one that is not known is new."""
        ...

    async def save_channel(self, channel: Channel) -> None:
        """Store a channel."""
        ...

    def append(self, event: Event) -> None:
        """Append to the log of the session's attendance."""
        ...

    async def set_deadline(self, key: str, fire_time: datetime) -> None:
        """Let something happen at a time; replaces what was set with that key."""
        ...

    async def cancel_deadline(self, key: str) -> None:
        """Let it not happen."""
        ...

    async def complete_deadline(self, deadline: Deadline) -> bool:
        """Take a claimed deadline off the list; False when it does not count any more."""
        ...


class AttendanceDirectory(Protocol):
    """Look-ups as of now, outside of a transaction; what belongs to another organization is not there."""

    async def find(self, scope: ScopeId) -> Attended | None:
        """Return what was reported of a session."""
        ...

    async def book(self, scope: ScopeId, as_of: datetime | None = None) -> tuple[Book, int]:
        """Return all that is kept and the seq it is at; with `as_of` the rule, roster and marks of that time.

        MusterError(NOT_FOUND) before the first report.
        """
        ...

    async def is_student(self, scope: ScopeId, user_id: str) -> bool:
        """Tell whether someone is in the roster."""
        ...

    async def list_records_of_user(
        self, organization_id: str, wanted: RecordFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[tuple[datetime, Record]]:
        """Return a user's records with the start of each session, last session first, behind `after`."""
        ...

    async def list_records_of_class(
        self, organization_id: str, wanted: RecordFilter, *, after: tuple[str, str, str] | None, limit: int
    ) -> Sequence[Record]:
        """Return records of a class by name, user and session, behind `after`."""
        ...

    async def list_changes(self, scope: ScopeId, user_id: str, *, after: int, limit: int) -> Sequence[Change]:
        """Return changes, oldest first, behind `after`; of everyone without a `user_id`."""
        ...

    async def list_points(
        self, scope: ScopeId, start: datetime | None, end: datetime | None, *, limit: int
    ) -> tuple[Sequence[Point], Point | None]:
        """Return points from `start` to before `end`, thinned out evenly to `limit`; and the newest."""
        ...

    async def list_channels(self, scope: ScopeId, *, limit: int) -> Sequence[Channel]:
        """Return configured channels by name."""
        ...


class Rosters(Protocol):
    """Asks the session service who is expected."""

    async def roster(self, scope: ScopeId, class_ids: Sequence[str]) -> Roster | None:
        """Return the roster, None when there is no such session any more; MusterError(UNAVAILABLE)."""
        ...


class Devices(Protocol):
    """Counts devices."""

    async def connections(self, scope: ScopeId) -> Mapping[str, OnChannel]:
        """Return devices by channel with the last activity there; MusterError(UNAVAILABLE)."""
        ...
