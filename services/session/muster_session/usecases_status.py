"""The life of a session as far as it needs nobody else: schedule, open, start, call off."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from muster_kit.caller import Caller
from muster_kit.db import Deadline
from muster_kit.errors import MusterError, Reason, Violation

from muster_session.events import StatusChanged
from muster_session.join_codes import new_code
from muster_session.model import Session, Status, StatusChange, Verb
from muster_session.model_blocks import Block
from muster_session.store import Room
from muster_session.usecases_access import session_of_staff
from muster_session.usecases_notices import plan_notice
from muster_session.usecases_reports import plan_report

LOBBY_DEADLINE = "lobby"

_TRIES_PER_LENGTH = 8


async def schedule_session(
    room: Room, caller: Caller, scheduled_time: datetime, *, expected_revision: int, reason: str
) -> Session:
    """Let the lobby open at a time; INVALID_FIELD when it has passed."""
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    session.after(Verb.SCHEDULE, room.now)
    if scheduled_time <= room.now:
        raise MusterError(
            Reason.INVALID_FIELD, violations=[Violation("scheduled_time", "must be in the future")]
        )
    await room.set_deadline(LOBBY_DEADLINE, scheduled_time)
    session = replace(session, scheduled_time=scheduled_time)
    return await record_move(room, session, Verb.SCHEDULE, by=caller.subject, reason=reason)


async def open_lobby(
    room: Room, caller: Caller, *, code_length: int, expected_revision: int, reason: str
) -> Session:
    """Open the lobby, under a code of this length or longer."""
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    return await _open(room, session, code_length, by=caller.subject, reason=reason)


async def open_lobby_on_time(room: Room, deadline: Deadline, *, code_length: int) -> None:
    """Open the lobby of a session whose time has come, unless somebody was there before."""
    if not await room.complete_deadline(deadline):
        return
    session = await room.sessions.get()
    if session.status is Status.SCHEDULED:
        await _open(room, session, code_length, by="", reason="")


async def start_session(room: Room, caller: Caller, *, expected_revision: int, reason: str) -> Session:
    """Start it."""
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    return await record_move(room, session, Verb.START, by=caller.subject, reason=reason)


async def cancel_session(room: Room, caller: Caller, *, expected_revision: int, reason: str) -> Session:
    """Call it off; the code goes."""
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    cancelled = await record_move(room, session, Verb.CANCEL, by=caller.subject, reason=reason)
    await room.sessions.release_code()
    await room.cancel_deadline(LOBBY_DEADLINE)
    return cancelled


async def record_move(
    room: Room,
    session: Session,
    verb: Verb,
    *,
    by: str,
    reason: str,
    clocks: Sequence[Block] = (),
) -> Session:
    """Move the status, with its entry in the history and its event; SESSION_STATUS when it may not."""
    moved = await room.sessions.save(session.after(verb, room.now))
    change = StatusChange(
        old_status=session.status,
        new_status=moved.status,
        change_time=room.now,
        reason=reason,
        changed_by_user_id=by,
    )
    await room.sessions.add_change(change)
    room.append(StatusChanged(change, moved, clocks))
    await plan_notice(room, moved, verb, session.status)
    await plan_report(room)
    return moved


async def _open(room: Room, session: Session, code_length: int, *, by: str, reason: str) -> Session:
    session.after(Verb.OPEN_LOBBY, room.now)
    session = replace(session, join_code=await _claimed_code(room, code_length))
    await room.cancel_deadline(LOBBY_DEADLINE)
    return await record_move(room, session, Verb.OPEN_LOBBY, by=by, reason=reason)


async def _claimed_code(room: Room, length: int) -> str:
    tries = 0
    while True:
        code = new_code(length + tries // _TRIES_PER_LENGTH)
        if await room.sessions.claim_code(code):
            return code
        tries += 1
