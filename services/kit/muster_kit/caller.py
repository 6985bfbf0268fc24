"""Who is calling, as a verified token says; use cases read it and know nothing of tokens."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class CallerKind(StrEnum):
    """What kind of token the caller showed."""

    USER = "user"
    TICKET = "ticket"
    SERVICE = "service"
    PUBLIC = "public"


class OrganizationRole(StrEnum):
    """What a user is in their organization; values are those of the token claims `role` and `orole`."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    MEMBER = "member"


class RoomRole(StrEnum):
    """What a ticket makes its holder in the room; values are those of the token claim `rrole`."""

    HOST = "host"
    COHOST = "cohost"
    PARTICIPANT = "participant"
    SPECTATOR = "spectator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a verified token names, and what it lets them be.

    `subject` is a user id, or the name of a service. Room fields are set for tickets alone:
    `participant_id` is the seat, and `generation` grows whenever the seat's earlier tickets must no
    longer count. Fields that do not apply are empty.
    """

    kind: CallerKind
    subject: str = ""
    organization_id: str = ""
    organization_role: OrganizationRole | None = None
    display_name: str = ""
    room_id: str = ""
    participant_id: str = ""
    room_role: RoomRole | None = None
    generation: int = 0
    expire_time: datetime = _NEVER

    @property
    def is_ticket(self) -> bool:
        """Whether the caller sits in a room."""
        return self.kind is CallerKind.TICKET

    def acts_for(self, organization_id: str) -> bool:
        """Whether the caller is of an organization, or a service, bound to none, that acts for all."""
        is_for_all = self.kind is CallerKind.SERVICE and not self.organization_id
        return is_for_all or self.organization_id == organization_id


PUBLIC: Final = Caller(CallerKind.PUBLIC)
"""The caller of a call without a token."""
