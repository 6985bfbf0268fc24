"""Who belongs to a session, from PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from muster_kit.db import Database, RoomTransaction, Transaction
from sqlalchemy import text

from muster_session.model import Session
from muster_session.model_notices import NOTICE_DEADLINE, Telling

_PAGE: Final = text("""
SELECT user_id FROM (
    SELECT user_id FROM session.participant
    WHERE session_id = :session_id AND join_time <= :time
      AND (:with_left OR status = 'joined' OR leave_time > :time)
    UNION
    SELECT user_id FROM session.class_member
    WHERE organization_id = :organization_id AND class_id = ANY (CAST(:class_ids AS text[]))
      AND create_time <= :time
) AS recipient
WHERE user_id > :after AND user_id <> :host_user_id
ORDER BY user_id LIMIT CAST(:limit AS bigint)
""")

_LEFT: Final = text("SELECT payload FROM session.deadline WHERE room_id = :room_id AND key = :key")


class PostgresRecipients:
    """`Recipients` over the app's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, session: Session, telling: Telling, *, limit: int) -> Sequence[str]:
        """Return the user ids of the next who are to be told, in order."""
        async with self._database.transaction(session.organization_id) as transaction:
            return await _recipients(transaction, session, telling, limit=limit)


class PostgresNotices:
    """`NoticeRows` in a room's transaction."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._transaction = transaction

    async def left(self) -> Telling | None:
        """Return what is still to be told, if anything."""
        wanted = {"room_id": self._transaction.room_id, "key": NOTICE_DEADLINE}
        payload = (await self._transaction.connection.execute(_LEFT, wanted)).scalar_one_or_none()
        return None if payload is None else Telling.decode(payload)

    async def recipients(self, session: Session, telling: Telling) -> Sequence[str]:
        """Return the user ids of all who are still to be told, in order."""
        return await _recipients(self._transaction, session, telling, limit=None)


async def _recipients(
    transaction: Transaction | RoomTransaction, session: Session, telling: Telling, *, limit: int | None
) -> Sequence[str]:
    values = {
        "organization_id": session.organization_id,
        "session_id": session.session_id,
        "class_ids": list(session.settings.class_ids),
        "host_user_id": session.host_user_id,
        "time": telling.time,
        "with_left": telling.is_last,
        "after": telling.after,
        "limit": limit,
    }
    return list((await transaction.connection.execute(_PAGE, values)).scalars())
