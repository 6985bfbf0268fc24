"""Seats over gRPC: join, leave, kick, ban, list and change."""

from collections.abc import Awaitable, Callable
from functools import partial

from google.protobuf.message import Message
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.db.idempotency import claim_of
from muster_kit.errors import MusterError, Reason
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_session.access import is_staff
from muster_session.convert import (
    participant_message,
    role_of,
    seat_statuses_of,
    session_message,
    without_key,
)
from muster_session.model import Participant, ParticipantStatus, Session
from muster_session.parts import Parts
from muster_session.store import Room
from muster_session.store_directory import EarlierAnswer
from muster_session.usecases_access import entered_session
from muster_session.usecases_participants import (
    Joined,
    Proof,
    ban_participant,
    join_session,
    kick_participant,
    leave_session,
    lift_ban,
    update_participant,
)


class ParticipantCalls:
    """The calls about who is in a session."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def JoinSession(self, request: pb.JoinSessionRequest, call: Call) -> pb.JoinSessionResponse:
        """Take a seat, or come back to it; hosts get a ticket without a seat."""
        caller = call.caller
        found = await self._find(request, call)
        if isinstance(found, EarlierAnswer):
            return await self._answered(request, call, found)
        session, proof = found
        is_host = session.host_user_id == caller.subject or not proof.join_code
        if is_host and is_staff(caller, session):
            ticket = self._parts.tickets.for_host(session.session_id, caller)
            return pb.JoinSessionResponse(ticket=ticket, session=session_message(session))
        return await self._take_seat(request, call, session, proof)

    async def LeaveSession(self, request: pb.LeaveSessionRequest, call: Call) -> bytes:
        """Give the seat up."""
        return await self._change_seat(
            request,
            call,
            partial(leave_session, caller=call.caller),
            encode=lambda _: pb.LeaveSessionResponse(),
        )

    async def KickParticipant(self, request: pb.KickParticipantRequest, call: Call) -> bytes:
        """Send someone away."""
        return await self._change_seat(
            request,
            call,
            partial(
                kick_participant,
                caller=call.caller,
                participant_id=request.participant_id,
                reason=request.reason,
            ),
            encode=lambda seat: pb.KickParticipantResponse(participant=participant_message(seat)),
        )

    async def BanParticipant(self, request: pb.BanParticipantRequest, call: Call) -> bytes:
        """Send someone away for good, or lift that."""
        return await self._change_seat(
            request,
            call,
            partial(
                lift_ban if request.lift else ban_participant,
                caller=call.caller,
                participant_id=request.participant_id,
                reason=request.reason,
            ),
            encode=lambda seat: pb.BanParticipantResponse(participant=participant_message(seat)),
        )

    async def UpdateParticipant(self, request: pb.UpdateParticipantRequest, call: Call) -> bytes:
        """Change a name or a role."""
        return await self._change_seat(
            request,
            call,
            partial(
                update_participant,
                caller=call.caller,
                participant_id=request.participant_id,
                display_name=request.display_name,
                role=role_of(request.role),
                most_participants=self._parts.settings.max_participants,
            ),
            encode=lambda seat: pb.UpdateParticipantResponse(participant=participant_message(seat)),
        )

    async def ListParticipants(
        self, request: pb.ListParticipantsRequest, call: Call
    ) -> pb.ListParticipantsResponse:
        """List seats, for who is in the session; who was sent away is for staff to see."""
        directory, caller = self._parts.directory, call.caller
        session, _ = await entered_session(directory, caller, request.session_id)
        statuses = seat_statuses_of(request.statuses) or {ParticipantStatus.JOINED}
        if not is_staff(caller, session):
            statuses &= {ParticipantStatus.JOINED, ParticipantStatus.LEFT}
        pages = Pages("seats", request.session_id, sorted(statuses), page_size=request.page_size)
        rows = await directory.list_seats(
            caller.organization_id,
            request.session_id,
            frozenset(statuses),
            after=pages.time_and_id(request.page_token),
            limit=pages.limit,
        )
        shown, last = pages.cut(rows)
        return pb.ListParticipantsResponse(
            participants=[participant_message(seat) for seat in shown],
            next_page_token=pages.token(last.join_time, last.participant_id) if last else "",
        )

    async def _find(
        self, request: pb.JoinSessionRequest, call: Call
    ) -> tuple[Session, Proof] | EarlierAnswer:
        parts, caller = self._parts, call.caller
        if request.HasField("session_id"):
            session = await parts.directory.find(caller.organization_id, request.session_id)
            if session is None:
                raise MusterError(Reason.NOT_FOUND)
            return session, Proof()
        found = await parts.code_desk.admit(
            caller,
            call.peer_address,
            request.join_code,
            key=request.key,
            request=claim_of(caller, without_key(request)),
        )
        if isinstance(found, EarlierAnswer):
            return found
        return found, Proof(found.join_code, found.key_hash)

    async def _answered(
        self, request: pb.JoinSessionRequest, call: Call, earlier: EarlierAnswer
    ) -> pb.JoinSessionResponse:
        if earlier.method != request.DESCRIPTOR.full_name:
            raise MusterError(Reason.REQUEST_ID_REUSED)
        response = pb.JoinSessionResponse.FromString(earlier.response)
        session_id = response.session.session_id
        claim = claim_of(call.caller, without_key(request), room_id=session_id)
        if claim is None or claim.fingerprint != earlier.fingerprint:
            raise MusterError(Reason.REQUEST_ID_REUSED)
        return self._with_ticket(response, await self._kept_seat(call, session_id), call)

    async def _take_seat(
        self, request: pb.JoinSessionRequest, call: Call, session: Session, proof: Proof
    ) -> pb.JoinSessionResponse:
        parts, caller = self._parts, call.caller
        taken: list[Participant] = []

        async def use_case(room: Room) -> Joined:
            joined = await join_session(
                room,
                caller,
                proof,
                display_name=request.display_name,
                as_spectator=request.as_spectator,
                most_participants=parts.settings.max_participants,
            )
            taken[:] = [joined.seat]
            return joined

        answer = await parts.commands.run(
            caller, session.session_id, use_case, request=without_key(request), encode=_joined_message
        )
        seat = taken[0] if taken else await self._kept_seat(call, session.session_id)
        return self._with_ticket(pb.JoinSessionResponse.FromString(answer), seat, call)

    def _with_ticket(
        self, response: pb.JoinSessionResponse, seat: Participant, call: Call
    ) -> pb.JoinSessionResponse:
        # What is stored has none: it would be stale when it is given again.
        response.ticket.CopyFrom(self._parts.tickets.for_seat(seat, call.caller))
        return response

    async def _kept_seat(self, call: Call, session_id: str) -> Participant:
        found = await self._parts.directory.find_with_seat(
            call.caller.organization_id, session_id, user_id=call.caller.subject
        )
        seat = found[1] if found else None
        if seat is None or not seat.is_present:
            raise MusterError(Reason.PARTICIPANT_STATUS, detail="the seat was given up since")
        return seat

    async def _change_seat(
        self,
        request: pb.LeaveSessionRequest
        | pb.KickParticipantRequest
        | pb.BanParticipantRequest
        | pb.UpdateParticipantRequest,
        call: Call,
        use_case: Callable[[Room], Awaitable[Participant]],
        *,
        encode: Callable[[Participant], Message],
    ) -> bytes:
        changed: list[Participant] = []

        async def noted(room: Room) -> Participant:
            changed[:] = [await use_case(room)]
            return changed[0]

        answer = await self._parts.commands.run(
            call.caller, request.session_id, noted, request=request, encode=encode
        )
        for seat in changed:
            # The deadline that was set with it does the same, should this process not get to it.
            await self._parts.tickets.withdraw(seat)
        return answer


def _joined_message(joined: Joined) -> pb.JoinSessionResponse:
    return pb.JoinSessionResponse(
        participant=participant_message(joined.seat),
        session=session_message(joined.session),
        rejoined=joined.rejoined,
    )
