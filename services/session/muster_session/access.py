"""Who may run a session, and who may look into it."""

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason

from muster_session.model import LIVE, Participant, Session, Visibility

_ROLES_OVER_ALL = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_ROLES_THAT_RUN = frozenset({RoomRole.HOST, RoomRole.COHOST})


def is_staff(caller: Caller, session: Session) -> bool:
    """Tell whether the caller runs the session.

    That is: with a ticket as its host or cohost; as owner or admin of the organization; or as the
    editor who made it.
    """
    if caller.kind is CallerKind.TICKET:
        return caller.room_id == session.session_id and caller.room_role in _ROLES_THAT_RUN
    if caller.kind is not CallerKind.USER or caller.organization_id != session.organization_id:
        return False
    if caller.organization_role in _ROLES_OVER_ALL:
        return True
    return caller.organization_role is OrganizationRole.EDITOR and session.host_user_id == caller.subject


def require_staff(caller: Caller, session: Session) -> None:
    """Raise MusterError unless the caller runs the session: NOT_FOUND when it is out of their sight."""
    require_room(caller, session.session_id)
    if not is_staff(caller, session):
        raise MusterError(Reason.PERMISSION_DENIED, detail="does not run the session")


def require_room(caller: Caller, session_id: str) -> None:
    """Raise MusterError(NOT_FOUND) when the caller's ticket is for another room."""
    if caller.is_ticket and caller.room_id != session_id:
        raise MusterError(Reason.NOT_FOUND, detail="the ticket is for another room")


def require_seat(caller: Caller, seat: Participant | None) -> None:
    """Raise MusterError(TICKET_REVOKED) when the caller's ticket is for a seat that no longer counts.

    Revocations say so within milliseconds; this wall stands when they did not get through.
    """
    if not caller.is_ticket or not caller.participant_id:
        return
    if seat is None or not seat.is_present or caller.generation < seat.generation:
        raise MusterError(Reason.TICKET_REVOKED, detail="the seat is gone or was renewed")


def sees(caller: Caller, session: Session, seat: Participant | None) -> bool:
    """Tell whether the caller may know of the session; `seat` is the one they hold in it, if any.

    Who runs it and who is in it may; everybody in the organization may if it is public and live.
    """
    if caller.is_ticket:
        return caller.room_id == session.session_id
    if is_staff(caller, session) or (seat is not None and not seat.is_hidden):
        return True
    return session.settings.visibility is Visibility.PUBLIC and session.status in LIVE


def sees_all(caller: Caller) -> bool:
    """Tell whether the caller sees every session of their organization: its owners and admins do."""
    return caller.kind is CallerKind.USER and caller.organization_role in _ROLES_OVER_ALL


def is_inside(caller: Caller, session: Session, seat: Participant | None) -> bool:
    """Tell whether the caller runs the session or is in it: they see who else is, and know the code."""
    return caller.is_ticket or is_staff(caller, session) or (seat is not None and seat.is_present)
