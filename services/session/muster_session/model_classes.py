"""What a class is: its settings, whether it is in use, and who is in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.sort_keys import sort_key

from muster_session.model import require_revision


class ClassStatus(StrEnum):
    """Where a class stands."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class MemberRole(StrEnum):
    """What someone is in a class; students alone are its roster."""

    STUDENT = "student"
    TEACHER = "teacher"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSettings:
    """What is decided about a class; `teacher_user_id` is empty only in what a request asks for."""

    title: str
    description: str = ""
    teacher_user_id: str = ""
    course_id: str = ""

    @property
    def sort_title(self) -> str:
        """What lists of classes go by."""
        return sort_key(self.title)

    def taught_by(self, user_id: str) -> "ClassSettings":
        """Return the settings with this teacher, unless they name one."""
        return self if self.teacher_user_id else replace(self, teacher_user_id=user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolClass:
    """A class; `revision` grows with each change of it, `student_count` with its roster alone."""

    class_id: str
    organization_id: str
    settings: ClassSettings
    create_time: datetime
    status: ClassStatus = ClassStatus.ACTIVE
    archive_time: datetime | None = None
    student_count: int = 0
    revision: int = 1

    def moved(self, status: ClassStatus, now: datetime) -> "SchoolClass":
        """Return the class archived or restored; MusterError(CLASS_STATUS) when it is so already."""
        if self.status is status:
            raise MusterError(Reason.CLASS_STATUS, detail=f"it is {status}")
        return replace(self, status=status, archive_time=now if status is ClassStatus.ARCHIVED else None)

    def require_active(self) -> None:
        """Raise MusterError(CLASS_STATUS) for an archived class."""
        if self.status is not ClassStatus.ACTIVE:
            raise MusterError(Reason.CLASS_STATUS, detail=f"it is {self.status}")

    def require_revision(self, expected: int) -> None:
        """Raise MusterError(REVISION_STALE) unless the caller saw this revision, or named none (0)."""
        require_revision(self.revision, expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """Someone to be in a class, under this name and in this role."""

    user_id: str
    display_name: str = ""
    role: MemberRole = MemberRole.STUDENT

    @property
    def sort_name(self) -> str:
        """What lists of people go by; the id for those without a name."""
        return sort_key(self.display_name or self.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMember:
    """Someone in a class."""

    class_id: str
    user_id: str
    display_name: str
    sort_name: str
    role: MemberRole
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterEntry:
    """A student who is expected in a session, under the name that sorts first, with their classes of it."""

    user_id: str
    display_name: str
    sort_name: str
    class_ids: Sequence[str]


def require_each_once(members: Iterable[NewMember]) -> None:
    """Raise MusterError(INVALID_FIELD) that names those in the request `members` a second time."""
    seen: set[str] = set()
    violations = []
    for index, member in enumerate(members):
        if member.user_id in seen:
            violations.append(Violation(f"members[{index}].user_id", "is in the list already"))
        seen.add(member.user_id)
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)
