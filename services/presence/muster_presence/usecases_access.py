"""Who may be where, as what; and who may look where."""

from dataclasses import replace
from typing import Final, Protocol

from muster_kit.caller import Caller, CallerKind, OrganizationRole, RoomRole
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.records import record

from muster_presence.model import Profile, Role, ScopeId, ScopeKind
from muster_presence.model_channels import USUAL, Line
from muster_presence.usecases_lines import Lines

_ADMIN_ROLES: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_ROLES: Final = {
    RoomRole.HOST: Role.STAFF,
    RoomRole.COHOST: Role.STAFF,
    RoomRole.PARTICIPANT: Role.PARTICIPANT,
    RoomRole.SPECTATOR: Role.SPECTATOR,
}


@record
class Place:
    """A scope as a request names it; `field` is where it stands in the request."""

    kind: ScopeKind
    scope_id: str = ""
    ticket: str = ""
    field: str = "scope"
    channel: str = ""


@record
class Presence:
    """Where someone may be, as what, and how their device is kept track of."""

    scope: ScopeId
    profile: Profile
    line: Line = USUAL


@record
class Sight:
    """What a caller may see of a scope; one in which nobody ever was is shown as empty if it is `certain`."""

    scope: ScopeId
    with_staff: bool
    certain: bool


class Tickets(Protocol):
    """Reads tickets."""

    async def read(self, ticket: str, /) -> Caller | None:
        """Return the holder, None when it is no good; MusterError TICKET_REVOKED if withdrawn."""
        ...


class Doors:
    """Lets callers into scopes, by their tickets or by what they are in the organization."""

    def __init__(self, tickets: Tickets, lines: Lines) -> None:
        self._tickets = tickets
        self._lines = lines

    def home(self, caller: Caller) -> Place:
        """Return where a caller is who names no place: the room of their ticket, or the organization."""
        if caller.is_ticket:
            return Place(ScopeKind.SESSION, caller.room_id)
        return Place(ScopeKind.ORGANIZATION)

    async def enter(self, caller: Caller, place: Place) -> Presence:
        """Let a caller be in a place.

        NOT_FOUND when they have no ticket to it, INVALID_FIELD when the one they named is no good or there is
        no such channel, TICKET_REVOKED when it was withdrawn.
        """
        scope = scope_of(caller.organization_id, place)
        presence = await self._presence(caller, scope, place)
        if scope.kind is not ScopeKind.SESSION and not place.channel:
            return presence
        line = await self._lines.find(
            scope,
            place.channel,
            sees_hidden=presence.profile.role is Role.STAFF,
            field=f"{place.field.removesuffix('.scope')}.channel",
        )
        return replace(presence, line=line)

    async def line_again(self, scope: ScopeId, key: str) -> Line:
        """Return how a device is kept track of by now that was so before, by the key of its line."""
        before = Line.of_key(key)
        lines = await self._lines.known(scope) if scope.kind is ScopeKind.SESSION else {}
        if lines is None:
            return before
        found = lines.get(before.channel)
        return found.line if found is not None else Line(before.channel)

    async def _presence(self, caller: Caller, scope: ScopeId, place: Place) -> Presence:
        if scope.kind is ScopeKind.ORGANIZATION:
            if caller.is_ticket:
                raise MusterError(Reason.NOT_FOUND, detail="a ticket is for its room alone")
            return Presence(scope, Profile(caller.display_name, _role_in_organization(caller)))
        holder = await self._holder(caller, place) if place.ticket else caller
        if not holder.is_ticket or holder.room_id != scope.scope_id or holder.room_role is None:
            raise MusterError(Reason.NOT_FOUND, detail="no ticket to the place")
        role = _ROLES[holder.room_role]
        return Presence(scope, Profile(holder.display_name, role, holder.participant_id))

    def look(self, caller: Caller, place: Place, *, include_staff: bool) -> Sight:
        """Let a caller look into a place.

        NOT_FOUND when it is out of their sight, PERMISSION_DENIED when they ask for staff and may not.
        """
        scope = scope_of(caller.organization_id, place)
        is_home = scope.kind is ScopeKind.ORGANIZATION
        if not (_looks_at_organization(caller) if is_home else _looks_into_room(caller, scope.scope_id)):
            raise MusterError(Reason.NOT_FOUND, detail="out of the caller's sight")
        if include_staff and not _sees_staff(caller):
            raise MusterError(Reason.PERMISSION_DENIED, detail="staff are for staff to see")
        return Sight(scope, include_staff, certain=is_home or caller.is_ticket)

    async def _holder(self, caller: Caller, place: Place) -> Caller:
        holder = await self._tickets.read(place.ticket)
        mine = (caller.subject, caller.organization_id)
        if holder is None or (holder.subject, holder.organization_id) != mine:
            violation = Violation(f"{place.field}.ticket", "must be a valid ticket of the caller's")
            raise MusterError(Reason.INVALID_FIELD, violations=[violation])
        return holder


def scope_of(organization_id: str, place: Place) -> ScopeId:
    """Return the scope of a place; INVALID_FIELD when its id does not fit its kind."""
    if (place.kind is ScopeKind.ORGANIZATION) == bool(place.scope_id):
        rule = "must be empty for the organization" if place.scope_id else "must name the place"
        raise MusterError(Reason.INVALID_FIELD, violations=[Violation(f"{place.field}.scope_id", rule)])
    return ScopeId(organization_id, place.kind, place.scope_id)


def require_service_for(caller: Caller, organization_id: str) -> None:
    """Raise PERMISSION_DENIED when a service does not act for the organization."""
    if not caller.acts_for(organization_id):
        raise MusterError(Reason.PERMISSION_DENIED, detail="a service that acts for another organization")


def _role_in_organization(caller: Caller) -> Role:
    return Role.PARTICIPANT if caller.organization_role is OrganizationRole.MEMBER else Role.STAFF


def _looks_at_organization(caller: Caller) -> bool:
    return not caller.is_ticket and bool(caller.organization_id)


def _looks_into_room(caller: Caller, room_id: str) -> bool:
    if caller.is_ticket:
        return caller.room_id == room_id
    if caller.kind is CallerKind.SERVICE:
        return bool(caller.organization_id)
    return caller.organization_role in _ADMIN_ROLES


def _sees_staff(caller: Caller) -> bool:
    if caller.room_role is not None:
        return _ROLES[caller.room_role] is Role.STAFF
    return caller.kind is CallerKind.SERVICE or caller.organization_role is not OrganizationRole.MEMBER
