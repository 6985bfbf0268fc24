"""Tickets to a session: given to seats and hosts, renewed, and withdrawn."""

from datetime import datetime, timedelta

from muster.session.v1.session_pb2 import Ticket
from muster_kit.caller import Caller, OrganizationRole, RoomRole
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.tokens import TicketSigner

from muster_session.model import Participant


class Tickets:
    """Signs tickets for seats and hosts, and withdraws those of seats."""

    def __init__(self, signer: TicketSigner, revocations: Revocations, lifetime: timedelta) -> None:
        self._signer = signer
        self._revocations = revocations
        self._lifetime = lifetime

    @property
    def renew_every(self) -> timedelta:
        """Return how often a stream brings a new ticket: with a third of its life left to the old one."""
        return self._lifetime * 2 / 3

    def is_old(self, expire_time: datetime, now: datetime) -> bool:
        """Tell whether a ticket could run out before a stream that opens now brings the next one."""
        return expire_time - now < self._lifetime * 5 / 6

    def for_seat(self, seat: Participant, caller: Caller) -> Ticket:
        """Return a ticket for a seat; the caller is who sits there."""
        return self._issue(
            caller,
            session_id=seat.session_id,
            role=RoomRole(seat.role.value),
            participant_id=seat.participant_id,
            generation=seat.generation,
            display_name=seat.display_name,
        )

    def for_host(self, session_id: str, caller: Caller) -> Ticket:
        """Return a ticket as host, who holds no seat."""
        return self._issue(
            caller,
            session_id=session_id,
            role=RoomRole.HOST,
            participant_id="",
            generation=0,
            display_name=caller.display_name,
        )

    async def withdraw(self, seat: Participant) -> None:
        """Refuse the seat's tickets of earlier generations, and end their streams, in every process."""
        await self._revocations.revoke(seat.session_id, seat.participant_id, seat.generation)

    def _issue(
        self,
        caller: Caller,
        *,
        session_id: str,
        role: RoomRole,
        participant_id: str,
        generation: int,
        display_name: str,
    ) -> Ticket:
        token, expire_time = self._signer.issue(
            subject=caller.subject,
            organization_id=caller.organization_id,
            organization_role=caller.organization_role or OrganizationRole.MEMBER,
            room_id=session_id,
            room_role=role,
            participant_id=participant_id,
            generation=generation,
            display_name=display_name,
            lifetime=self._lifetime,
        )
        return Ticket(token=token, expire_time=expire_time)
