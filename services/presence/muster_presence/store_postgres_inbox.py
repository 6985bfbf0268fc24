"""Inboxes in PostgreSQL, as transactions write them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from muster.presence.v1.inbox_pb2 import InboxEvent
from muster_kit.db import Transaction
from muster_kit.db.publications import Run
from sqlalchemy import CursorResult, TextClause, text

from muster_presence.model_inbox import Item, ItemKind, Notice, first_epoch, inbox_room
from muster_presence.person_rooms import append_events

# In order, so that two who write to the same inboxes wait for each other in one direction only. The update
# changes nothing but holds the row: what is looked up after it stays so until the end.
_HOLD: Final = text("""
INSERT INTO presence.room_log AS log (room_id, organization_id, epoch, head_seq)
SELECT room_id, :organization_id, epoch, 0
FROM unnest(CAST(:room_ids AS text[]), CAST(:epochs AS bigint[])) AS inbox (room_id, epoch)
ORDER BY room_id
ON CONFLICT (room_id) DO UPDATE SET head_seq = log.head_seq
""")

# Whoever was here since has come again, and is new.
_ERASED: Final = text("""
SELECT user_id FROM presence.erased_user AS erased
WHERE organization_id = :organization_id AND user_id = ANY (CAST(:user_ids AS text[])) AND NOT EXISTS (
    SELECT FROM presence.presence_interval AS later
    WHERE later.organization_id = :organization_id AND later.user_id = erased.user_id
      AND later.enter_time > erased.erase_time
)
""")

_GIVEN: Final = """
    unnest(
        CAST(:room_ids AS text[]),
        CAST(:kinds AS text[]),
        CAST(:keys AS text[]),
        CAST(:payloads AS bytea[]),
        CAST(:order_times AS timestamptz[]),
        CAST(:expire_times AS timestamptz[])
    ) AS given (room_id, kind, item_key, payload, order_time, expire_time)
"""

# What somebody knows: something later, or the very same. Not all say of which time they are.
_KNOWN: Final = text(f"""
SELECT room_id FROM {_GIVEN} JOIN presence.inbox_item AS known USING (room_id, kind, item_key)
WHERE given.order_time < known.order_time OR given.payload = known.payload
   OR (given.order_time = known.order_time AND given.payload IS NULL AND known.payload IS NULL)
""")  # noqa: S608 - made of the constant above

# What waited before the block is theirs, and how it ends.
_BLOCKED: Final = text("""
SELECT given.user_id FROM unnest(
    CAST(:user_ids AS text[]), CAST(:senders AS text[]), CAST(:room_ids AS text[]), CAST(:keys AS text[])
) AS given (user_id, sender_id, room_id, item_key)
JOIN presence.friend_block AS block ON block.organization_id = :organization_id
    AND block.user_id = given.user_id AND block.blocked_user_id = given.sender_id
WHERE NOT EXISTS (
    SELECT FROM presence.inbox_item AS known
    WHERE known.room_id = given.room_id AND known.kind = :kind AND known.item_key = given.item_key
      AND known.payload IS NOT NULL
)
""")

_ITEMS: Final = text(f"""
INSERT INTO presence.inbox_item AS known
    (organization_id, room_id, kind, item_key, payload, order_time, expire_time)
SELECT :organization_id, room_id, kind, item_key, payload, coalesce(order_time, :now), expire_time
FROM {_GIVEN}
ON CONFLICT (room_id, kind, item_key) DO UPDATE
SET payload = excluded.payload, expire_time = excluded.expire_time,
    order_time = greatest(known.order_time, excluded.order_time)
""")  # noqa: S608 - made of the constant above


class PostgresInboxes:
    """`Inboxes` over a running transaction; `runs` are to be published after the commit."""

    def __init__(self, transaction: Transaction, kept: timedelta) -> None:
        """Nothing waits longer than `kept`."""
        self._transaction = transaction
        self._kept = kept
        self.runs: list[Run] = []

    async def put(self, told: Mapping[str, Notice]) -> int:
        """Put notices into people's inboxes."""
        await hold_inboxes(self._transaction, [self._room(user_id) for user_id in told])
        deaf = await self._erased(list(told)) | await self._blocking(told)
        notices = {self._room(user_id): notice for user_id, notice in told.items() if user_id not in deaf}
        if items := {room_id: notice.item for room_id, notice in notices.items() if notice.item is not None}:
            for room_id in await self._knowing(items):
                del notices[room_id], items[room_id]
            await self._execute(_ITEMS, now=self._transaction.now, **self._columns(items))
        events = {room_id: [partial(_numbered, notice.event)] for room_id, notice in notices.items()}
        self.runs += await append_events(self._transaction, events)
        return len(notices)

    async def _erased(self, user_ids: Sequence[str]) -> set[str]:
        return set((await self._execute(_ERASED, user_ids=user_ids)).scalars())

    async def _blocking(self, told: Mapping[str, Notice]) -> set[str]:
        """Return who blocks the one that invites them."""
        invited = {
            user_id: (notice.from_user_id, notice.item.key)
            for user_id, notice in told.items()
            if notice.from_user_id and notice.item is not None
        }
        if not invited:
            return set()
        found = await self._execute(
            _BLOCKED,
            kind=ItemKind.INVITATION.value,
            user_ids=list(invited),
            room_ids=[self._room(user_id) for user_id in invited],
            senders=[sender for sender, _ in invited.values()],
            keys=[key for _, key in invited.values()],
        )
        return set(found.scalars())

    async def _knowing(self, items: Mapping[str, Item]) -> Sequence[str]:
        """Return the rooms of those who need not be told."""
        return (await self._execute(_KNOWN, **self._columns(items))).scalars().all()

    def _columns(self, items: Mapping[str, Item]) -> dict[str, object]:
        now, latest = self._transaction.now, self._transaction.now + self._kept
        return {
            "room_ids": list(items),
            "kinds": [item.kind.value for item in items.values()],
            "keys": [item.key for item in items.values()],
            "payloads": [item.payload for item in items.values()],
            # Nobody can be ahead of what is still to come.
            "order_times": [item.order_time and min(item.order_time, now) for item in items.values()],
            "expire_times": [min(item.expire_time or latest, latest) for item in items.values()],
        }

    def _room(self, user_id: str) -> str:
        return inbox_room(self._transaction.organization_id, user_id)

    async def _execute(self, statement: TextClause, **values: object) -> CursorResult[Any]:
        values["organization_id"] = self._transaction.organization_id
        return await self._transaction.connection.execute(statement, values)


async def hold_inboxes(transaction: Transaction, room_ids: Sequence[str]) -> None:
    """Let nobody else write inboxes until the end of the transaction."""
    values = {
        "organization_id": transaction.organization_id,
        "room_ids": list(room_ids),
        "epochs": [first_epoch(room_id) for room_id in room_ids],
    }
    await transaction.connection.execute(_HOLD, values)


def _numbered(event: bytes, seq: int, now: datetime) -> bytes:
    # Serialized messages that are put together are merged.
    return event + InboxEvent(seq=seq, create_time=now).SerializeToString()
