"""The first step of every use case: who is this, and may they do this to the session they name."""

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason

from muster_session.access import is_inside, require_room, require_seat, require_staff, sees
from muster_session.model import Participant, Session
from muster_session.store import Room
from muster_session.store_directory import SeatLookup


async def session_of_staff(room: Room, caller: Caller, *, expected_revision: int = 0) -> Session:
    """Return the session for who runs it.

    MusterError: NOT_FOUND, PERMISSION_DENIED, TICKET_REVOKED, REVISION_STALE.
    """
    session = await room.sessions.get()
    require_staff(caller, session)
    if caller.is_ticket and caller.participant_id:
        require_seat(caller, await room.seats.find(caller.participant_id))
    session.require_revision(expected_revision)
    return session


async def seat_of_caller(room: Room, caller: Caller) -> Participant:
    """Return the seat the caller holds; MusterError: PARTICIPANT_STATUS without one, TICKET_REVOKED."""
    require_room(caller, room.session_id)
    if caller.is_ticket:
        seat = await room.seats.find(caller.participant_id) if caller.participant_id else None
        require_seat(caller, seat)
    else:
        seat = await room.seats.of_user(caller.subject)
    if seat is None:
        raise MusterError(Reason.PARTICIPANT_STATUS, detail="holds no seat")
    return seat


async def seen_session(
    directory: SeatLookup, caller: Caller, session_id: str
) -> tuple[Session, Participant | None]:
    """Return the session and the caller's seat in it, for reading; NOT_FOUND, TICKET_REVOKED."""
    require_room(caller, session_id)
    seat_id = caller.participant_id if caller.is_ticket else ""
    found = await directory.find_with_seat(
        caller.organization_id,
        session_id,
        user_id="" if caller.is_ticket else caller.subject,
        participant_id=seat_id,
    )
    if found is None:
        raise MusterError(Reason.NOT_FOUND)
    session, seat = found
    require_seat(caller, seat)
    if not sees(caller, session, seat):
        raise MusterError(Reason.NOT_FOUND, detail="the caller may not see it")
    return session, seat


async def entered_session(
    directory: SeatLookup, caller: Caller, session_id: str
) -> tuple[Session, Participant | None]:
    """Return the session and the caller's seat, for who is in it or runs it; else PERMISSION_DENIED."""
    session, seat = await seen_session(directory, caller, session_id)
    if not is_inside(caller, session, seat):
        raise MusterError(Reason.PERMISSION_DENIED, detail="is not in the session")
    return session, seat
