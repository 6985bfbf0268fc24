"""Who may see what of a session."""

from dataclasses import dataclass

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason

from muster_scoring.session_cache import SessionCache

_STAFF_ROLES = frozenset({RoomRole.HOST, RoomRole.COHOST})
_ADMIN_ROLES = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see of one session: `is_staff` sees all, others see what participants may.

    `participant_id` is empty for those who do not take part.
    """

    organization_id: str
    participant_id: str
    is_staff: bool


class Doors:
    """Lets callers in, by their ticket or by what they are in the organization."""

    def __init__(self, sessions: SessionCache) -> None:
        self._sessions = sessions

    async def enter(self, caller: Caller, session_id: str) -> Access:
        """Let a caller see a session.

        NOT_FOUND when it is not of the caller's organization, or not the ticket's;
        PERMISSION_DENIED for users who neither host it nor administer the organization.
        """
        if caller.is_ticket:
            if caller.room_id != session_id:
                raise MusterError(Reason.NOT_FOUND, detail="the ticket is for another session")
            return Access(
                caller.organization_id, caller.participant_id, is_staff=caller.room_role in _STAFF_ROLES
            )
        session = await self._sessions.get(caller.organization_id, session_id)
        if session is None:
            raise MusterError(Reason.NOT_FOUND, detail=f"session {session_id}")
        runs_it = (
            caller.kind is CallerKind.SERVICE
            or caller.organization_role in _ADMIN_ROLES
            or caller.subject == session.host_user_id
        )
        if not runs_it:
            raise MusterError(Reason.PERMISSION_DENIED, detail="not the host")
        return Access(caller.organization_id, "", is_staff=True)

    async def enter_as_staff(self, caller: Caller, session_id: str) -> Access:
        """Like `enter`; PERMISSION_DENIED for everybody but staff."""
        access = await self.enter(caller, session_id)
        if not access.is_staff:
            raise MusterError(Reason.PERMISSION_DENIED, detail="for staff alone")
        return access
