"""Making, changing and removing sessions."""

from dataclasses import replace

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.ids import new_id

from muster_session.events import SessionUpdated
from muster_session.model import (
    FIXED_BY_START,
    NOT_STARTED,
    OVER,
    REMOVAL_DEADLINE,
    Session,
    Settings,
    Status,
    StatusChange,
    Visibility,
)
from muster_session.model_notices import FAREWELL_DEADLINE
from muster_session.store import Room
from muster_session.usecases_access import session_of_staff
from muster_session.usecases_classes import require_classes
from muster_session.usecases_notices import farewell_of
from muster_session.usecases_reports import plan_report

_REMOVABLE = frozenset({Status.DRAFT, *OVER})
_OPEN = frozenset(Status) - OVER


async def create_session(
    room: Room, caller: Caller, settings: Settings, *, key_hash: str, most_participants: int
) -> Session:
    """Make a session in DRAFT, run by the caller.

    MusterError: INVALID_FIELD for settings that do not go together, CLASS_STATUS for an archived class.
    """
    _check(settings, key_given=bool(key_hash), has_key=False, most_participants=most_participants)
    await require_classes(room.classes, settings.class_ids)
    session = Session(
        session_id=room.session_id,
        organization_id=room.organization_id,
        host_user_id=caller.subject,
        settings=settings,
        create_time=room.now,
        key_hash=key_hash,
    )
    await room.sessions.add(session)
    change = StatusChange(
        old_status=None, new_status=session.status, change_time=room.now, changed_by_user_id=caller.subject
    )
    await room.sessions.add_change(change)
    await plan_report(room)
    return session


async def update_session(
    room: Room,
    caller: Caller,
    settings: Settings,
    *,
    key_hash: str,
    expected_revision: int,
    most_participants: int,
) -> Session:
    """Replace the settings; an empty `key_hash` keeps the key, and only private sessions have one.

    MusterError: SESSION_STATUS once it is over, or for a setting that is fixed by the start;
    CLASS_STATUS for a class that is added and archived.
    """
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    session.require(_OPEN)
    _check(
        settings,
        key_given=bool(key_hash),
        has_key=bool(session.key_hash),
        most_participants=most_participants,
    )
    if any(getattr(settings, name) != getattr(session.settings, name) for name in FIXED_BY_START):
        session.require(NOT_STARTED)
    await require_classes(room.classes, settings.class_ids, linked=session.settings.class_ids)
    is_private = settings.visibility is Visibility.PRIVATE
    kept_key = (key_hash or session.key_hash) if is_private else ""
    updated = await room.sessions.save(replace(session, settings=settings, key_hash=kept_key))
    room.append(SessionUpdated(updated))
    await plan_report(room)
    return updated


async def delete_session(room: Room, caller: Caller, *, expected_revision: int) -> None:
    """Remove a session that is not live, with its log; SESSION_STATUS otherwise.

    Scoring forgets it as soon as it can; the id stays taken while there may be tickets to it. Who was about
    to be told of its end is told all the same.
    """
    session = await session_of_staff(room, caller, expected_revision=expected_revision)
    session.require(_REMOVABLE)
    farewell = await farewell_of(room, session)
    await room.sessions.remove()
    if farewell is not None:
        await room.set_deadline(FAREWELL_DEADLINE, room.now, farewell.encode())
    await room.set_deadline(REMOVAL_DEADLINE + new_id(), room.now)


def _check(settings: Settings, *, key_given: bool, has_key: bool, most_participants: int) -> None:
    violations = []
    if settings.visibility is Visibility.PRIVATE:
        if not (key_given or has_key):
            violations.append(Violation("key", "is needed for a private session"))
    elif key_given:
        violations.append(Violation("key", "is for private sessions alone"))
    if settings.max_participants > most_participants:
        violations.append(Violation("settings.max_participants", f"must be at most {most_participants}"))
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)
