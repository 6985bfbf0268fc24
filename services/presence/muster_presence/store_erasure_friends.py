"""Erases people from friendships, in the transaction of the request."""

from typing import Final

from muster.presence.v1.friend_pb2 import Friendship
from muster_kit.db import Transaction
from muster_kit.db.room_transaction import new_epoch
from sqlalchemy import text

from muster_presence.person_rooms import friends_room, person_lock

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")

_ERASE: Final = text("""
WITH bonds AS (
    DELETE FROM presence.friendship
    WHERE organization_id = :organization_id AND :user_id IN (first_user_id, second_user_id)
    RETURNING CASE WHEN first_user_id = :user_id THEN second_user_id ELSE first_user_id END AS other_id
), blocks AS (
    DELETE FROM presence.friend_block
    WHERE organization_id = :organization_id AND :user_id IN (user_id, blocked_user_id)
    RETURNING CASE WHEN user_id = :user_id THEN blocked_user_id ELSE user_id END AS other_id
), names AS (
    DELETE FROM presence.friend_name
    WHERE organization_id = :organization_id AND user_id = :user_id RETURNING user_id
), rates AS (
    DELETE FROM presence.friend_rate
    WHERE organization_id = :organization_id AND (user_id = :user_id OR subject = 'reacting/' || :user_id)
), events AS (
    DELETE FROM presence.room_event WHERE room_id = :room_id
), log AS (
    DELETE FROM presence.room_log WHERE room_id = :room_id
)
SELECT other_id FROM bonds UNION ALL SELECT other_id FROM blocks UNION ALL SELECT '' FROM names
""")

# The logs in which the person is named, whoever is a friend today.
_NAMED_IN: Final = text("""
SELECT DISTINCT room_id FROM presence.room_event
WHERE organization_id = :organization_id AND starts_with(room_id, :rooms) AND position(:named IN payload) > 0
""")

# Those who watch them begin anew: no cursor into what was there counts any more.
_BEGIN_ANEW: Final = text("""
WITH held AS (
    SELECT room_id FROM presence.room_log
    WHERE room_id = ANY (CAST(:room_ids AS text[])) ORDER BY room_id FOR UPDATE
), events AS (
    DELETE FROM presence.room_event WHERE room_id IN (SELECT room_id FROM held)
)
UPDATE presence.room_log AS log SET epoch = new.epoch, first_seq = log.head_seq + 1
FROM unnest(CAST(:room_ids AS text[]), CAST(:epochs AS bigint[])) AS new (room_id, epoch)
WHERE log.room_id = new.room_id AND log.room_id IN (SELECT room_id FROM held)
""")


async def erase_friendships(transaction: Transaction, user_id: str) -> int:
    """Erase someone's friendships, requests and blocks, and their name from the logs of others.

    Returns how many records that were. Others are told nothing: their streams begin anew.
    """
    organization_id = transaction.organization_id
    execute = transaction.connection.execute
    await execute(_LOCK, {"lock": person_lock(organization_id, user_id)})
    names = {"organization_id": organization_id, "user_id": user_id}
    own_room = friends_room(organization_id, user_id)
    others = list((await execute(_ERASE, {**names, "room_id": own_room})).scalars())
    found = await execute(
        _NAMED_IN,
        {
            "organization_id": organization_id,
            "rooms": friends_room(organization_id, ""),
            # The first field of what events carry.
            "named": Friendship(user_id=user_id).SerializeToString(),
        },
    )
    rooms = {friends_room(organization_id, other) for other in others if other} | set(found.scalars())
    room_ids = sorted(rooms - {own_room})
    await execute(_BEGIN_ANEW, {"room_ids": room_ids, "epochs": [new_epoch() for _ in room_ids]})
    return len(others)
