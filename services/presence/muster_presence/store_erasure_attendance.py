"""Erases people from attendance, in the transaction of the request."""

from typing import Final

from muster.presence.v1.attendance_pb2 import AttendanceErased, AttendanceEvent
from muster_kit.db import Transaction
from sqlalchemy import text

from muster_presence.attendance_rooms import ATTENDANCE_ROOMS, room_of
from muster_presence.model import ScopeId, ScopeKind

_SESSIONS: Final = text("""
SELECT session_id FROM presence.attendance_student
WHERE organization_id = :organization_id AND user_id = :user_id
UNION SELECT session_id FROM presence.attendance_record
WHERE organization_id = :organization_id AND user_id = :user_id
""")

# In order, so that two who erase do not wait for each other. Also where they are not named yet: whoever
# writes down who is expected there would write them down once more.
_HOLD: Final = text("""
SELECT log.room_id FROM presence.room_log AS log WHERE log.room_id = ANY (CAST(:room_ids AS text[]))
    OR log.room_id IN (
    SELECT room_id FROM presence.room_event
    WHERE organization_id = :organization_id AND starts_with(room_id, :rooms)
      AND position(:named IN payload) > 0
) ORDER BY log.room_id FOR UPDATE
""")

_EVENTS: Final = text("""
SELECT room_id, seq, payload FROM presence.room_event
WHERE room_id = ANY (CAST(:room_ids AS text[])) AND position(:named IN payload) > 0
""")

_REWRITE: Final = text("""
UPDATE presence.room_event AS event SET payload = new.payload FROM unnest(
    CAST(:room_ids AS text[]), CAST(:seqs AS bigint[]), CAST(:payloads AS bytea[])
) AS new (room_id, seq, payload)
WHERE event.room_id = new.room_id AND event.seq = new.seq
""")

# What they decided about others stays, without their name.
_ERASE: Final = text("""
WITH records AS (
    DELETE FROM presence.attendance_record
    WHERE organization_id = :organization_id AND user_id = :user_id RETURNING session_id
), students AS (
    DELETE FROM presence.attendance_student
    WHERE organization_id = :organization_id AND user_id = :user_id RETURNING session_id
), marks AS (
    DELETE FROM presence.attendance_mark
    WHERE organization_id = :organization_id AND user_id = :user_id
), changes AS (
    DELETE FROM presence.attendance_change
    WHERE organization_id = :organization_id AND user_id = :user_id
), marked AS (
    UPDATE presence.attendance_mark SET marked_by_user_id = ''
    WHERE organization_id = :organization_id AND marked_by_user_id = :user_id AND user_id <> :user_id
), shown AS (
    UPDATE presence.attendance_record SET marked_by_user_id = ''
    WHERE organization_id = :organization_id AND marked_by_user_id = :user_id AND user_id <> :user_id
), changed AS (
    UPDATE presence.attendance_change SET changed_by_user_id = ''
    WHERE organization_id = :organization_id AND changed_by_user_id = :user_id AND user_id <> :user_id
), rules AS (
    UPDATE presence.attendance_rule SET set_by_user_id = ''
    WHERE organization_id = :organization_id AND set_by_user_id = :user_id
), taught AS (
    UPDATE presence.attended SET
        host_user_id = CASE WHEN host_user_id = :user_id THEN '' ELSE host_user_id END,
        teacher_user_ids = array_remove(teacher_user_ids, :user_id)
    WHERE organization_id = :organization_id
      AND (host_user_id = :user_id OR :user_id = ANY (teacher_user_ids))
)
SELECT session_id FROM records UNION SELECT session_id FROM students
""")


async def erase_attendance(transaction: Transaction, user_id: str) -> int:
    """Erase someone's records, marks and history, and their name from what they decided and from logs.

    Returns in how many sessions that was. Events about them keep their places, of something erased.
    """
    execute, organization_id = transaction.connection.execute, transaction.organization_id
    person = {"organization_id": organization_id, "user_id": user_id}
    known = [
        room_of(ScopeId(organization_id, ScopeKind.SESSION, session_id))
        for session_id in (await execute(_SESSIONS, person)).scalars()
    ]
    named = {"named": user_id.encode(), "organization_id": organization_id}
    held = await execute(_HOLD, {**named, "rooms": ATTENDANCE_ROOMS, "room_ids": known})
    room_ids = list(held.scalars())
    erased = await execute(_ERASE, person)
    sessions = len(erased.all())
    if not room_ids:
        return sessions
    found = (await execute(_EVENTS, {"named": user_id.encode(), "room_ids": room_ids})).all()
    events = [(row, event) for row in found if (event := _without(row.payload, user_id)) is not None]
    await execute(
        _REWRITE,
        {
            "room_ids": [row.room_id for row, _ in events],
            "seqs": [row.seq for row, _ in events],
            "payloads": [event for _, event in events],
        },
    )
    return sessions


def _without(payload: bytes, user_id: str) -> bytes | None:
    """Return an event without someone; None when it does not name them."""
    event = AttendanceEvent.FromString(payload)
    if event.WhichOneof("event") != "changed":
        return None
    told = event.changed
    if told.change.user_id == user_id:
        event.erased.CopyFrom(AttendanceErased())
        return event.SerializeToString()
    if user_id not in (told.change.changed_by_user_id, told.record.mark.marked_by_user_id):
        return None
    if told.change.changed_by_user_id == user_id:
        told.change.changed_by_user_id = ""
    if told.record.mark.marked_by_user_id == user_id:
        told.record.mark.marked_by_user_id = ""
    return event.SerializeToString()
