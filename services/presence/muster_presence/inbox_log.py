"""The logs of people, and what waits in their inboxes, as connected people read them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from muster_kit.db import Database, Transaction
from muster_kit.streams import Head, Log, StoredEvent
from sqlalchemy import text

from muster_presence.model_inbox import ItemKind, first_epoch, inboxes_of, is_inbox
from muster_presence.person_rooms import friends_person
from muster_presence.shared_reads import SharedReads
from muster_presence.store_inbox import Waiting, WaitingItem

_HEADS: Final = text("""
SELECT room_id, epoch, head_seq, first_seq FROM presence.room_log
WHERE room_id = ANY (CAST(:room_ids AS text[]))
""")

# Of one moment, all of it: what waits is what waits after the event that is the head.
_WAITING: Final = text("""
SELECT log.room_id, log.head_seq, item.kind, item.payload
FROM presence.room_log AS log LEFT JOIN LATERAL (
    SELECT kind, payload, place FROM (
        SELECT kind, payload,
            row_number() OVER (PARTITION BY kind ORDER BY order_time DESC, item_key) AS place
        FROM presence.inbox_item
        WHERE room_id = log.room_id AND payload IS NOT NULL AND expire_time > :now
    ) AS placed WHERE place <= 100
) AS item ON true
WHERE log.room_id = ANY (CAST(:room_ids AS text[]))
ORDER BY log.room_id, item.place
""")


class InboxLog:
    """The logs in PostgreSQL of what people are told. An inbox always has one, if only an empty one."""

    def __init__(self, database: Database, log: Log) -> None:
        """`log` reads those that were begun."""
        self._log = log
        self._heads = SharedReads(database, _heads)

    async def head(self, organization_id: str, room_id: str) -> Head | None:
        """Return how far a log reaches; None when it is another organization's."""
        if friends_person(room_id) is not None:
            return await self._heads.ask(organization_id, room_id)
        if not is_inbox(room_id):
            return await self._log.head(organization_id, room_id)
        if not room_id.startswith(inboxes_of(organization_id)):
            return None
        head = await self._heads.ask(organization_id, room_id)
        return head or Head(first_epoch(room_id), seq=0, first_seq=1)

    async def heads(self, room_ids: Collection[str]) -> Mapping[str, Head]:
        """Return how far the logs reach that were begun."""
        return await self._log.heads(room_ids)

    async def read(
        self, organization_id: str, room_id: str, *, epoch: int, after_seq: int, limit: int
    ) -> Sequence[StoredEvent]:
        """Return up to `limit` events after `after_seq`, in order."""
        return await self._log.read(organization_id, room_id, epoch=epoch, after_seq=after_seq, limit=limit)


class PostgresInboxReader:
    """`InboxReader` over the app's role."""

    def __init__(self, database: Database) -> None:
        self._waiting = SharedReads(database, _waiting)

    async def waiting(self, organization_id: str, room_id: str) -> Waiting:
        """Return what waits in an inbox."""
        return await self._waiting.ask(organization_id, room_id) or Waiting()


async def _heads(transaction: Transaction, room_ids: Sequence[str]) -> Mapping[str, Head]:
    rows = await transaction.connection.execute(_HEADS, {"room_ids": list(room_ids)})
    return {row.room_id: Head(row.epoch, row.head_seq, row.first_seq) for row in rows}


async def _waiting(transaction: Transaction, room_ids: Sequence[str]) -> Mapping[str, Waiting]:
    values = {"room_ids": list(room_ids), "now": transaction.now}
    seqs: dict[str, int] = {}
    items: dict[str, list[WaitingItem]] = {}
    for row in await transaction.connection.execute(_WAITING, values):
        seqs[row.room_id] = row.head_seq
        waiting = items.setdefault(row.room_id, [])
        if row.kind is not None:
            waiting.append(WaitingItem(ItemKind(row.kind), row.payload))
    return {room_id: Waiting(seq, items[room_id]) for room_id, seq in seqs.items()}
