"""What the use cases write and look up of classes, always of one organization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_session.model_classes import (
    ClassMember,
    ClassStatus,
    MemberRole,
    NewMember,
    RosterEntry,
    SchoolClass,
)

Place = tuple[str, str]
"""Where in a list that goes by a text: the text's sort key, and the id of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFilter:
    """Which classes to list; empty fields ask for nothing.

    `teacher_user_id` is its teacher or a member who teaches; `visible_to` someone who teaches it or is
    in it.
    """

    statuses: frozenset[ClassStatus] = frozenset({ClassStatus.ACTIVE})
    teacher_user_id: str = ""
    student_user_id: str = ""
    course_id: str = ""
    visible_to: str = ""


class Classes(Protocol):
    """Classes in a running transaction; what a use case does here is there as a whole, or not at all."""

    @property
    def organization_id(self) -> str:
        """Whose they are."""
        ...

    @property
    def now(self) -> datetime:
        """The database's time."""
        ...

    async def lock(self, class_id: str) -> SchoolClass:
        """Return a class that nobody else changes from now on, nor its roster; MusterError(NOT_FOUND)."""
        ...

    async def add(self, school_class: SchoolClass) -> None:
        """Store a new class; MusterError(ALREADY_EXISTS) when its id is taken."""
        ...

    async def save(self, school_class: SchoolClass) -> SchoolClass:
        """Store settings, status and archive time with the next revision; return it as stored."""
        ...

    async def put_members(
        self, class_id: str, members: Sequence[NewMember]
    ) -> tuple[Sequence[ClassMember], int]:
        """Store members of a locked class, each named once; who is there already keeps their `create_time`.

        Return them in the given order, and the new count of students.
        """
        ...

    async def remove_members(self, class_id: str, user_ids: Sequence[str]) -> tuple[int, int]:
        """Remove members of a locked class; return how many were there, and the new count of students."""
        ...


class ClassLinks(Protocol):
    """The classes that a session's settings name, in the session's transaction."""

    async def statuses(self, class_ids: Sequence[str]) -> Mapping[str, ClassStatus]:
        """Return where classes stand, and let none move until the end; those not there are left out."""
        ...


class ClassDirectory(Protocol):
    """Look-ups as of now, outside of a transaction; what belongs to another organization is not there."""

    async def find(self, organization_id: str, class_id: str, *, visible_to: str = "") -> SchoolClass | None:
        """Return a class, or None; with `visible_to` only to a user who teaches it or is in it."""
        ...

    async def list_classes(
        self, organization_id: str, wanted: ClassFilter, *, after: Place | None, limit: int
    ) -> Sequence[SchoolClass]:
        """Return classes by title, behind `after`."""
        ...

    async def list_members(
        self,
        organization_id: str,
        class_id: str,
        role: MemberRole | None,
        *,
        after: Place | None,
        limit: int,
    ) -> Sequence[ClassMember]:
        """Return members by name, behind `after`; None for those in any role."""
        ...

    async def list_roster(
        self,
        organization_id: str,
        class_ids: Sequence[str],
        user_ids: Sequence[str],
        *,
        after: Place | None,
        limit: int,
    ) -> tuple[Sequence[RosterEntry], int]:
        """Return students of classes by name, each once, behind `after`, and how many they are in all.

        With `user_ids` only those are listed; the number is that of the whole roster.
        """
        ...
