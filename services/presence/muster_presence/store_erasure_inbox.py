"""Erases people from inboxes, in the transaction of the request."""

from typing import Final

from muster_kit.db import Transaction
from muster_kit.db.room_transaction import new_epoch
from sqlalchemy import text

from muster_presence.convert_inbox import erased_event, is_item_from, person_in
from muster_presence.model_inbox import inbox_room, inboxes_of
from muster_presence.store_postgres_inbox import hold_inboxes

# Whoever watches it begins anew: no cursor into what was there counts any more.
_EMPTY: Final = text("""
WITH items AS (
    DELETE FROM presence.inbox_item WHERE room_id = :room_id
), log AS (
    UPDATE presence.room_log SET epoch = :epoch, first_seq = head_seq + 1 WHERE room_id = :room_id
)
DELETE FROM presence.room_event WHERE room_id = :room_id RETURNING seq
""")

_NAMED_IN: Final = text("""
SELECT room_id, seq, payload FROM presence.room_event
WHERE organization_id = :organization_id AND starts_with(room_id, :rooms) AND position(:named IN payload) > 0
""")

_REWRITE: Final = text("""
UPDATE presence.room_event AS event SET payload = new.payload FROM unnest(
    CAST(:room_ids AS text[]), CAST(:seqs AS bigint[]), CAST(:payloads AS bytea[])
) AS new (room_id, seq, payload)
WHERE event.room_id = new.room_id AND event.seq = new.seq
""")

_WAITING: Final = text("""
SELECT room_id, kind, item_key, payload FROM presence.inbox_item
WHERE organization_id = :organization_id AND position(:named IN payload) > 0
""")

_REMOVE: Final = text("""
DELETE FROM presence.inbox_item AS item USING unnest(
    CAST(:room_ids AS text[]), CAST(:kinds AS text[]), CAST(:keys AS text[])
) AS old (room_id, kind, item_key)
WHERE (item.room_id, item.kind, item.item_key) = (old.room_id, old.kind, old.item_key)
""")


async def erase_inbox(transaction: Transaction, user_id: str) -> int:
    """Empty someone's inbox, and take out of those of others what came from them or was about them.

    Returns how many events that were; those of others keep their places, of notices that were erased.
    """
    execute = transaction.connection.execute
    organization_id, own_room = transaction.organization_id, inbox_room(transaction.organization_id, user_id)
    await hold_inboxes(transaction, [own_room])
    emptied = (await execute(_EMPTY, {"room_id": own_room, "epoch": new_epoch()})).all()
    names = {"organization_id": organization_id, "named": user_id.encode()}
    found = await execute(_NAMED_IN, {**names, "rooms": inboxes_of(organization_id)})
    events = [row for row in found if person_in(row.payload) == user_id]
    if events:
        await execute(
            _REWRITE,
            {
                "room_ids": [row.room_id for row in events],
                "seqs": [row.seq for row in events],
                "payloads": [erased_event(row.payload) for row in events],
            },
        )
    items = [row for row in await execute(_WAITING, names) if is_item_from(row.kind, row.payload, user_id)]
    if items:
        await execute(
            _REMOVE,
            {
                "room_ids": [row.room_id for row in items],
                "kinds": [row.kind for row in items],
                "keys": [row.item_key for row in items],
            },
        )
    return len(emptied) + len(events)
