"""Making, changing and reading classes, and putting people into them and out of them."""

from collections.abc import Sequence
from dataclasses import replace

from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.ids import new_id

from muster_session.access import require_staff
from muster_session.access_classes import require_change, sees_every_class
from muster_session.model import Session
from muster_session.model_classes import (
    ClassMember,
    ClassSettings,
    ClassStatus,
    NewMember,
    SchoolClass,
    require_each_once,
)
from muster_session.store_classes import ClassDirectory, Classes, ClassFilter, ClassLinks
from muster_session.store_directory import Directory
from muster_session.usecases_access import seen_session


async def create_class(
    classes: Classes, caller: Caller, settings: ClassSettings, members: Sequence[NewMember], *, class_id: str
) -> SchoolClass:
    """Make a class, taught by the caller unless the settings say by whom.

    MusterError: ALREADY_EXISTS, and INVALID_FIELD for someone named twice.
    """
    require_each_once(members)
    school_class = SchoolClass(
        class_id=class_id or new_id(),
        organization_id=classes.organization_id,
        settings=settings.taught_by(caller.subject),
        create_time=classes.now,
    )
    await classes.add(school_class)
    if not members:
        return school_class
    _, student_count = await classes.put_members(school_class.class_id, members)
    return replace(school_class, student_count=student_count)


async def update_class(
    classes: Classes, caller: Caller, settings: ClassSettings, *, class_id: str, expected_revision: int
) -> SchoolClass:
    """Replace the settings; whoever may change the class may also name another teacher.

    MusterError: NOT_FOUND, PERMISSION_DENIED, REVISION_STALE.
    """
    school_class = await _to_change(classes, caller, class_id, expected_revision)
    settings = settings.taught_by(school_class.settings.teacher_user_id)
    return await classes.save(replace(school_class, settings=settings))


async def move_class(
    classes: Classes, caller: Caller, status: ClassStatus, *, class_id: str, expected_revision: int
) -> SchoolClass:
    """Archive a class or restore it.

    MusterError: NOT_FOUND, PERMISSION_DENIED, REVISION_STALE, CLASS_STATUS when it is so already.
    """
    school_class = await _to_change(classes, caller, class_id, expected_revision)
    return await classes.save(school_class.moved(status, classes.now))


async def add_members(
    classes: Classes, caller: Caller, members: Sequence[NewMember], *, class_id: str
) -> tuple[Sequence[ClassMember], int]:
    """Put members into a class, all or none; return them, and the new count of students.

    MusterError: NOT_FOUND, PERMISSION_DENIED, CLASS_STATUS for an archived class, INVALID_FIELD for
    someone named twice.
    """
    require_each_once(members)
    school_class = await _to_change(classes, caller, class_id)
    school_class.require_active()
    return await classes.put_members(class_id, members)


async def remove_members(
    classes: Classes, caller: Caller, user_ids: Sequence[str], *, class_id: str
) -> tuple[int, int]:
    """Take members out of a class, also of an archived one; those who are not in it are passed over.

    Return how many were in it, and the new count of students. MusterError: NOT_FOUND, PERMISSION_DENIED.
    """
    await _to_change(classes, caller, class_id)
    return await classes.remove_members(class_id, user_ids)


async def seen_class(directory: ClassDirectory, caller: Caller, class_id: str) -> SchoolClass:
    """Return a class that the caller may see; MusterError(NOT_FOUND)."""
    found = await directory.find(
        caller.organization_id, class_id, visible_to="" if sees_every_class(caller) else caller.subject
    )
    if found is None:
        raise MusterError(Reason.NOT_FOUND)
    return found


def within_sight(caller: Caller, wanted: ClassFilter) -> ClassFilter:
    """Return the filter narrowed to what the caller may see.

    MusterError(PERMISSION_DENIED) when a member asks for the classes of another student: it would tell
    them who else is in theirs.
    """
    if sees_every_class(caller):
        return wanted
    if wanted.student_user_id not in ("", caller.subject):
        raise MusterError(Reason.PERMISSION_DENIED, detail="asks for another student's classes")
    return replace(wanted, visible_to=caller.subject)


async def session_with_roster(directory: Directory, caller: Caller, session_id: str) -> Session:
    """Return a session for who runs it, or for a service of the house.

    MusterError: NOT_FOUND, PERMISSION_DENIED, TICKET_REVOKED.
    """
    if caller.kind is not CallerKind.SERVICE:
        session, _ = await seen_session(directory, caller, session_id)
        require_staff(caller, session)
        return session
    found = await directory.find(caller.organization_id, session_id)
    if found is None:
        raise MusterError(Reason.NOT_FOUND)
    return found


async def require_classes(links: ClassLinks, class_ids: Sequence[str], *, linked: Sequence[str] = ()) -> None:
    """Raise MusterError unless a session can be held for these classes.

    INVALID_FIELD for those the organization does not have, CLASS_STATUS for archived ones; what is
    `linked` to the session already stays so however the class has moved since.
    """
    added = [class_id for class_id in class_ids if class_id not in linked]
    if not added:
        return
    statuses = await links.statuses(added)
    violations = [
        Violation(f"settings.class_ids[{index}]", "is no class of the organization")
        for index, class_id in enumerate(class_ids)
        if class_id in added and class_id not in statuses
    ]
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)
    if ClassStatus.ARCHIVED in statuses.values():
        raise MusterError(Reason.CLASS_STATUS, detail="the session is for an archived class")


async def _to_change(
    classes: Classes, caller: Caller, class_id: str, expected_revision: int = 0
) -> SchoolClass:
    school_class = await classes.lock(class_id)
    require_change(caller, school_class)
    school_class.require_revision(expected_revision)
    return school_class
