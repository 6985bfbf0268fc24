"""Taking seats, leaving them, and being sent away."""

from dataclasses import dataclass, replace

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.ids import new_id

from muster_session.access import is_staff
from muster_session.events import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantRemoved,
    ParticipantUpdated,
)
from muster_session.model import (
    LIVE,
    NOT_STARTED,
    Participant,
    ParticipantRole,
    ParticipantStatus,
    Session,
)
from muster_session.names import clean_name
from muster_session.store import Room
from muster_session.usecases_access import seat_of_caller, session_of_staff

SEAT_DEADLINE = "seat:"
"""Then comes the seat's id: scoring and the tickets have to hear of its new state, at once."""

_NAMELESS = "Guest"


@dataclass(frozen=True, slots=True)
class Proof:
    """That somebody knew the code and, if it has one, the key of the session as it was looked up.

    Without a code they named the session, which is for those who hold a seat already.
    """

    join_code: str = ""
    key_hash: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of joining."""

    session: Session
    seat: Participant
    rejoined: bool


async def join_session(
    room: Room,
    caller: Caller,
    proof: Proof,
    *,
    display_name: str,
    as_spectator: bool,
    most_participants: int,
) -> Joined:
    """Take a seat, or the one the user had before.

    MusterError: JOIN_REFUSED, SESSION_STATUS, BANNED, LATE_JOIN, SESSION_FULL.
    """
    session = await room.sessions.get()
    seat = await room.seats.of_user(caller.subject)
    _require_proof(proof, session, seat)
    session.require(LIVE)
    if seat is not None and seat.status is ParticipantStatus.BANNED:
        raise MusterError(Reason.BANNED)
    if seat is None:
        seat = _new_seat(room, caller, display_name, as_spectator=as_spectator)
        if session.status not in NOT_STARTED and not session.settings.late_join_allowed:
            raise MusterError(Reason.LATE_JOIN)
        _require_room_for(seat, session, most_participants)
        await room.seats.add(seat)
        return await _seated(room, session, seat, rejoined=False)
    back = seat.back(clean_name(display_name))
    if seat.is_present:
        return Joined(await _renamed(room, session, seat, back), back, rejoined=True)
    _require_room_for(back, session, most_participants)
    await room.seats.save(back)
    if seat.is_hidden:
        await room.set_deadline(SEAT_DEADLINE + seat.participant_id, room.now)
    return await _seated(room, session, back, rejoined=True)


async def leave_session(room: Room, caller: Caller) -> Participant:
    """Give the seat up; PARTICIPANT_STATUS when there is none to give up."""
    seat = await seat_of_caller(room, caller)
    _require_present(seat)
    left = seat.gone(ParticipantStatus.LEFT, room.now)
    count = await _store_gone(room, seat, left, reason="", by=caller.subject)
    room.append(ParticipantLeft(seat.participant_id, count))
    return left


async def kick_participant(room: Room, caller: Caller, participant_id: str, *, reason: str) -> Participant:
    """Send someone away; PARTICIPANT_STATUS when they are not there."""
    session = await session_of_staff(room, caller)
    session.require(LIVE)
    seat = await room.seats.get(participant_id)
    _require_present(seat)
    kicked = seat.gone(ParticipantStatus.KICKED, room.now)
    return await _remove(room, seat, kicked, reason=reason, by=caller.subject)


async def ban_participant(room: Room, caller: Caller, participant_id: str, *, reason: str) -> Participant:
    """Send someone away for good, also when they have left; PARTICIPANT_STATUS when they are banned."""
    session = await session_of_staff(room, caller)
    session.require(LIVE)
    seat = await room.seats.get(participant_id)
    if seat.status is ParticipantStatus.BANNED:
        raise MusterError(Reason.PARTICIPANT_STATUS, detail="is banned")
    banned = seat.gone(ParticipantStatus.BANNED, room.now)
    return await _remove(room, seat, banned, reason=reason, by=caller.subject)


async def lift_ban(room: Room, caller: Caller, participant_id: str, *, reason: str) -> Participant:
    """Let someone come back; PARTICIPANT_STATUS when they are not banned."""
    session = await session_of_staff(room, caller)
    session.require(LIVE)
    seat = await room.seats.get(participant_id)
    if seat.status is not ParticipantStatus.BANNED:
        raise MusterError(Reason.PARTICIPANT_STATUS, detail="is not banned")
    lifted = replace(seat, status=ParticipantStatus.LEFT, generation=seat.generation + 1)
    await room.seats.save(lifted, reason=reason, changed_by_user_id=caller.subject)
    await room.set_deadline(SEAT_DEADLINE + participant_id, room.now)
    room.append(ParticipantUpdated(lifted, session.participant_count))
    return lifted


async def update_participant(
    room: Room,
    caller: Caller,
    participant_id: str,
    *,
    display_name: str,
    role: ParticipantRole | None,
    most_participants: int,
) -> Participant:
    """Change a name, or a role; participants may change their own name.

    Who gets another role has to join again for a ticket that says so: the old one stops counting.
    MusterError: SESSION_STATUS, PERMISSION_DENIED, PARTICIPANT_STATUS, SESSION_FULL.
    """
    session = await _session_of_staff_or_self(room, caller, participant_id, changes_role=role is not None)
    session.require(LIVE)
    seat = await room.seats.get(participant_id)
    _require_present(seat)
    updated = seat.back(clean_name(display_name))
    if role is None or role is seat.role:
        await _renamed(room, session, seat, updated)
        return updated
    updated = replace(updated, role=role, generation=seat.generation + 1)
    if updated.is_counted:
        _require_room_for(updated, session, most_participants)
    await room.seats.save(updated, changed_by_user_id=caller.subject)
    count = await room.sessions.count_seats(participants=updated.is_counted - seat.is_counted, seats=0)
    await room.set_deadline(SEAT_DEADLINE + participant_id, room.now)
    room.append(ParticipantUpdated(updated, count))
    return updated


async def _session_of_staff_or_self(
    room: Room, caller: Caller, participant_id: str, *, changes_role: bool
) -> Session:
    session = await room.sessions.get()
    if not changes_role and not is_staff(caller, session):
        own = await seat_of_caller(room, caller)
        if own.participant_id == participant_id:
            return session
    return await session_of_staff(room, caller)


def _require_proof(proof: Proof, session: Session, seat: Participant | None) -> None:
    if proof.join_code:
        # Either may have changed since it was looked up.
        if (proof.join_code, proof.key_hash) != (session.join_code, session.key_hash):
            raise MusterError(Reason.JOIN_REFUSED)
    elif seat is None or seat.is_hidden:
        raise MusterError(Reason.JOIN_REFUSED, detail="by id, without a seat")


def _require_room_for(seat: Participant, session: Session, most_participants: int) -> None:
    if seat.role is ParticipantRole.PARTICIPANT:
        is_full = session.participant_count >= (session.settings.max_participants or most_participants)
    else:
        is_full = session.seat_count - session.participant_count >= most_participants
    if is_full:
        raise MusterError(Reason.SESSION_FULL)


def _require_present(seat: Participant) -> None:
    if not seat.is_present:
        raise MusterError(Reason.PARTICIPANT_STATUS, detail=f"the seat is {seat.status}")


def _new_seat(room: Room, caller: Caller, display_name: str, *, as_spectator: bool) -> Participant:
    return Participant(
        participant_id=new_id(),
        session_id=room.session_id,
        user_id=caller.subject,
        display_name=clean_name(display_name) or clean_name(caller.display_name) or _NAMELESS,
        role=ParticipantRole.SPECTATOR if as_spectator else ParticipantRole.PARTICIPANT,
        status=ParticipantStatus.JOINED,
        join_time=room.now,
    )


async def _seated(room: Room, session: Session, seat: Participant, *, rejoined: bool) -> Joined:
    count = await room.sessions.count_seats(participants=int(seat.is_counted), seats=1)
    room.append(ParticipantJoined(seat, count))
    counted = replace(session, participant_count=count, seat_count=session.seat_count + 1)
    return Joined(counted, seat, rejoined)


async def _renamed(room: Room, session: Session, seat: Participant, renamed: Participant) -> Session:
    if renamed != seat:
        await room.seats.save(renamed)
        room.append(ParticipantUpdated(renamed, session.participant_count))
    return session


async def _remove(room: Room, seat: Participant, gone: Participant, *, reason: str, by: str) -> Participant:
    count = await _store_gone(room, seat, gone, reason=reason, by=by)
    room.append(ParticipantRemoved(gone.participant_id, gone.status, count))
    return gone


async def _store_gone(room: Room, seat: Participant, gone: Participant, *, reason: str, by: str) -> int:
    await room.seats.save(gone, reason=reason, changed_by_user_id=by)
    await room.set_deadline(SEAT_DEADLINE + gone.participant_id, room.now)
    return await room.sessions.count_seats(participants=-int(seat.is_counted), seats=-int(seat.is_present))
