"""People with tickets to a session, as they and services call presence."""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_pb2 import Activity, Presence
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, SCOPE_KIND_SESSION, Scope, ScopeEntry
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.tokens import TicketSigner

from tests.rpc.house import House, Metadata, bearer

ORGANIZATION = Scope(kind=SCOPE_KIND_ORGANIZATION)


@dataclass(slots=True)
class Gathering:
    """A session of an organization of its own."""

    house: House
    organization: str = field(default_factory=lambda: uuid.uuid4().hex)
    session_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def scope(self) -> Scope:
        """The session, as a scope."""
        return Scope(kind=SCOPE_KIND_SESSION, scope_id=self.session_id)

    @property
    def service(self) -> Metadata:
        """A service that acts for the organization."""
        return self.house.service("arena", organization=self.organization)

    def user(self, user_id: str, role: OrganizationRole = OrganizationRole.MEMBER) -> Metadata:
        """A user with their own token."""
        return self.house.user(user_id, organization=self.organization, role=role)

    def briefly(self, user_id: str) -> Metadata:
        """A user whose token runs out soon."""
        return self.house.user(user_id, organization=self.organization, lifetime=timedelta(seconds=2))

    def token(self, user_id: str, role: RoomRole = RoomRole.PARTICIPANT, *, session_id: str = "") -> str:
        """A ticket to the session."""
        key = self.house.settings.ticket_private_key_file
        assert key is not None
        ticket, _ = TicketSigner.read(key).issue(
            subject=user_id,
            organization_id=self.organization,
            organization_role=OrganizationRole.MEMBER,
            room_id=session_id or self.session_id,
            room_role=role,
            participant_id=f"seat-{user_id}",
            generation=1,
            display_name=user_id.title(),
        )
        return ticket

    def guest(self, user_id: str, role: RoomRole = RoomRole.PARTICIPANT) -> Metadata:
        """Someone who calls with their ticket."""
        return bearer(self.token(user_id, role))

    def entry(self, user_id: str) -> ScopeEntry:
        """The session, with the ticket of someone who calls with their own token."""
        return ScopeEntry(scope=self.scope, ticket=self.token(user_id))

    async def beat(self, who: Metadata, *, device_id: str = "phone", **said: Any) -> pb.HeartbeatResponse:
        """Beat once."""
        request = pb.HeartbeatRequest(device_id=device_id, **said)
        reply: pb.HeartbeatResponse = await self.house.presence.Heartbeat(request, metadata=who)
        return reply

    async def do(self, who: Metadata, kind: str, *, device_id: str = "phone", **said: Any) -> Presence:
        """Say what somebody does in the session."""
        request = pb.SetActivityRequest(
            device_id=device_id, scope=self.scope, activity=Activity(kind=kind, **said)
        )
        return (await self.house.presence.SetActivity(request, metadata=who)).presence

    async def leave(self, who: Metadata, *scopes: Scope, device_id: str = "phone") -> None:
        """Say goodbye."""
        request = pb.LeaveRequest(device_id=device_id, scopes=scopes)
        await self.house.presence.Leave(request, metadata=who)

    async def here(self, who: Metadata, **filters: Any) -> list[str]:
        """List who is in the session."""
        request = pb.ListActiveRequest(scope=self.scope, **filters)
        reply = await self.house.presence.ListActive(request, metadata=who)
        return [one.user_id for one in reply.people]

    async def count(self, who: Metadata, **filters: Any) -> Any:
        """Count who is in the session."""
        request = pb.CountActiveRequest(scope=self.scope, **filters)
        return (await self.house.presence.CountActive(request, metadata=who)).counts
