"""When people were where, for those who may know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster_kit.caller import Caller, OrganizationRole
from muster_kit.errors import MusterError, Reason

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.store_intervals import History, HistoryFilter, HistoryPlace, Stay
from muster_presence.usecases_access import Place, scope_of

_ADMIN_ROLES: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """What is asked for; no place is everywhere, no user all that the caller may see."""

    place: Place | None = None
    user_id: str = ""
    start: datetime | None = None
    end: datetime | None = None


async def list_history(
    history: History, caller: Caller, query: HistoryQuery, *, after: HistoryPlace | None, limit: int
) -> Sequence[tuple[HistoryPlace, Stay]]:
    """Return stays, last come first, each with its place.

    Everyone sees their own. Hosts see all of their room, teachers all of the organization's own scope, its
    owners and admins everything. NOT_FOUND for a room that is not the ticket's, PERMISSION_DENIED for people
    whom the caller may not see there.
    """
    scope = scope_of(caller.organization_id, query.place) if query.place is not None else None
    visible = _visible(caller, scope, query.user_id)
    wanted = HistoryFilter(
        scope=visible.scope,
        user_id=visible.user_id,
        start=query.start,
        end=query.end,
        visible_to=visible.visible_to,
    )
    return await history.history(caller.organization_id, wanted, after=after, limit=limit)


def _visible(caller: Caller, scope: ScopeId | None, user_id: str) -> HistoryFilter:
    """Return whose stays, and where, the caller sees of what they ask for."""
    if caller.is_ticket:
        room = ScopeId(caller.organization_id, ScopeKind.SESSION, caller.room_id)
        if scope not in (None, room):
            raise MusterError(Reason.NOT_FOUND, detail="not the room of the ticket")
        return HistoryFilter(scope=room, user_id=user_id)
    if caller.organization_role in _ADMIN_ROLES or user_id == caller.subject:
        return HistoryFilter(scope=scope, user_id=user_id)
    is_teacher = caller.organization_role is OrganizationRole.EDITOR
    if is_teacher and (scope is None or scope.kind is ScopeKind.ORGANIZATION):
        return HistoryFilter(scope=scope, user_id=user_id, visible_to=caller.subject)
    if user_id:
        raise MusterError(Reason.PERMISSION_DENIED, detail="somebody else's history")
    return HistoryFilter(scope=scope, user_id=caller.subject)
