"""Who may see and change the attendance of which session."""

from typing import Final

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_attended import Attended
from muster_presence.store_attendance import AttendanceDirectory

_OVER_ALL: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_HOSTS: Final = frozenset({RoomRole.HOST, RoomRole.COHOST})


def session_of(caller: Caller, session_id: str) -> ScopeId:
    """Return a session of the caller's; NOT_FOUND when their ticket is for another."""
    if caller.is_ticket and caller.room_id != session_id:
        raise MusterError(Reason.NOT_FOUND, detail="the ticket is for another room")
    return ScopeId(caller.organization_id, ScopeKind.SESSION, session_id)


def sees_all(caller: Caller) -> bool:
    """Tell whether the caller sees the attendance of all sessions: owners and admins do."""
    return caller.kind is CallerKind.USER and caller.organization_role in _OVER_ALL


def is_teacher(caller: Caller, attended: Attended) -> bool:
    """Tell whether a session is the caller's.

    That is: with a ticket as its host or cohost; as owner or admin of the organization; or as the editor who
    holds it or teaches one of its classes.
    """
    if caller.is_ticket:
        return caller.room_id == attended.scope.scope_id and caller.room_role in _HOSTS
    if caller.kind is not CallerKind.USER or caller.organization_id != attended.scope.organization_id:
        return False
    if sees_all(caller):
        return True
    is_named = caller.subject == attended.host_user_id or caller.subject in attended.teacher_user_ids
    return is_named and caller.organization_role is OrganizationRole.EDITOR


def require_teacher(caller: Caller, attended: Attended) -> None:
    """Raise MusterError(NOT_FOUND) unless the session is the caller's: others do not learn of it."""
    if not is_teacher(caller, attended):
        raise MusterError(Reason.NOT_FOUND, detail="not a session of the caller's")


async def taught_session(directory: AttendanceDirectory, caller: Caller, session_id: str) -> Attended:
    """Return a session of the caller's; MusterError(NOT_FOUND)."""
    attended = await directory.find(session_of(caller, session_id))
    if attended is None:
        raise MusterError(Reason.NOT_FOUND)
    require_teacher(caller, attended)
    return attended


async def attended_session(
    directory: AttendanceDirectory, caller: Caller, session_id: str
) -> tuple[Attended, bool]:
    """Return a session that the caller teaches or belongs to, and whether they teach it; NOT_FOUND otherwise.

    Students belong to the sessions of their classes; to one without classes belongs who has a ticket to it.
    """
    scope = session_of(caller, session_id)
    attended = await directory.find(scope)
    if attended is None:
        raise MusterError(Reason.NOT_FOUND)
    if is_teacher(caller, attended):
        return attended, True
    belongs = await directory.is_student(scope, caller.subject)
    if not belongs and (attended.class_ids or not caller.is_ticket):
        raise MusterError(Reason.NOT_FOUND, detail="a session of other classes")
    return attended, False
