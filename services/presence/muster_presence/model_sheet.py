"""The attendance sheet of a session: who is expected, what teachers decided, and everyone's records."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from muster_kit.errors import MusterError, Reason

from muster_presence.model import Role
from muster_presence.model_attendance import AttendanceRule, Computed, Evidence, Status, compute_on
from muster_presence.model_attended import Attended
from muster_presence.model_spans import Span, Timeline

_SORT_BYTES: Final = 96
NOTHING_KNOWN: Final = Computed(Status.UNKNOWN, Evidence(), "not started")
"""Of who has no record."""


class Cause(IntEnum):
    """What made a record change."""

    COMPUTED = 1
    MARKED = 2
    MARK_WITHDRAWN = 3
    SETTLED = 4
    RULE_CHANGED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """Someone who is expected."""

    user_id: str
    display_name: str
    class_ids: tuple[str, ...] = ()

    @property
    def sort_name(self) -> str:
        """What lists of people go by."""
        return sort_key(self.display_name or self.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A time in which someone was in the session."""

    user_id: str
    display_name: str
    role: Role
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a teacher decided; `status` UNKNOWN withdraws what was decided before."""

    user_id: str
    status: Status
    reason: str
    marked_by_user_id: str
    mark_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMark:
    """A mark to set; `expected_revision` 0 is for any."""

    user_id: str
    status: Status
    reason: str
    expected_revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One person's attendance of one session; `revision` 0 and no `update_time`: as it is just computed."""

    session_id: str
    user_id: str
    display_name: str
    computed: Computed
    in_roster: bool
    mark: Mark | None = None
    settled: bool = False
    update_time: datetime | None = None
    revision: int = 0

    @property
    def status(self) -> Status:
        """What counts."""
        return self.computed.status if self.mark is None else self.mark.status

    @property
    def sort_name(self) -> str:
        """What lists of people go by."""
        return sort_key(self.display_name or self.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what counts; `changed_by_user_id` is empty for the clock. `seq` counts the session's."""

    user_id: str
    display_name: str
    old_status: Status
    new_status: Status
    cause: Cause
    change_time: datetime
    reason: str = ""
    changed_by_user_id: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Attendance of a session at one time: of its roster, and the devices of all."""

    record_time: datetime
    student_count: int
    present_count: int
    connection_count: int
    statuses: Mapping[Status, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRule:
    """The rule of a session: its own, or none for the deployment's; `revision` 0 was never set."""

    own: AttendanceRule | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """All that is kept about the attendance of a session beside when people were there, as of a time."""

    attended: Attended
    rule: SessionRule
    students: Sequence[Student]
    marks: Mapping[str, Mark]
    records: Mapping[str, Record]


def make_sheet(
    book: Book, stays: Iterable[Stay], deployment_rule: AttendanceRule, *, as_of: datetime
) -> list[Record]:
    """Return the records of everyone by name, as of a time that is not before the book's.

    Students are in it whether they came or not, others when they took part or have a mark. What is settled
    is as it was settled, however much of when people were there is still known.
    """
    attended = book.attended
    students = {student.user_id: student for student in book.students}
    came = _by_person(stays, students)
    user_ids = {*students, *came, *book.marks}
    settled = attended.settle_time is not None and attended.settle_time <= as_of
    if settled:
        user_ids |= book.records.keys()
    active, rule = Timeline(attended.spans, as_of), book.rule.own or deployment_rule
    records = []
    for user_id in user_ids:
        stored = book.records.get(user_id)
        if settled:
            computed = stored.computed if stored else NOTHING_KNOWN
        else:
            spans = [stay.span for stay in came.get(user_id, ())]
            computed = compute_on(active, spans, rule)
        known = stored if stored is not None and stored.update_time and stored.update_time <= as_of else None
        records.append(
            Record(
                session_id=attended.scope.scope_id,
                user_id=user_id,
                display_name=_name(user_id, students, came, stored),
                computed=computed,
                in_roster=user_id in students,
                mark=book.marks.get(user_id),
                settled=settled,
                update_time=known.update_time if known else None,
                revision=known.revision if known else 0,
            )
        )
    return sorted(records, key=lambda record: (record.sort_name, record.user_id))


def count(records: Iterable[Record], here: Iterable[str], *, connections: int, now: datetime) -> Point:
    """Return how many students of the roster have each status, and are `here`."""
    statuses: dict[Status, int] = {}
    students = {record.user_id: record.status for record in records if record.in_roster}
    for status in students.values():
        statuses[status] = statuses.get(status, 0) + 1
    return Point(
        record_time=now,
        student_count=len(students),
        present_count=len(students.keys() & set(here)),
        connection_count=connections,
        statuses=statuses,
    )


def require_revision(revision: int, expected: int) -> None:
    """Raise MusterError(REVISION_STALE) unless `expected` is `revision`, or 0 for any."""
    if expected not in (0, revision):
        raise MusterError(Reason.REVISION_STALE, detail=f"{expected} expected, it is {revision}")


def sort_key(text: str) -> str:
    """Return what a list puts a name by: neither case nor accents count; at most 96 bytes, no NUL."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in letters if letter != "\0" and not unicodedata.combining(letter))
    return plain.encode()[:_SORT_BYTES].decode(errors="ignore")


def _by_person(stays: Iterable[Stay], students: Mapping[str, Student]) -> dict[str, list[Stay]]:
    """Return stays of students, in whatever role they came, and of others who took part."""
    came: dict[str, list[Stay]] = {}
    for stay in stays:
        if stay.user_id in students or stay.role is Role.PARTICIPANT:
            came.setdefault(stay.user_id, []).append(stay)
    return came


def _name(
    user_id: str, students: Mapping[str, Student], came: Mapping[str, Sequence[Stay]], stored: Record | None
) -> str:
    if (student := students.get(user_id)) is not None and student.display_name:
        return student.display_name
    names = [stay.display_name for stay in came.get(user_id, ()) if stay.display_name]
    return names[-1] if names else stored.display_name if stored else ""
