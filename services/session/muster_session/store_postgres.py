"""The store of one session in PostgreSQL: its own row, its code and its history, in a room's transaction."""

from datetime import datetime

from muster_kit.db import Deadline, RoomTransaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from muster_session.events import Event
from muster_session.model import Session, StatusChange
from muster_session.store_postgres_blocks import PostgresBlocks
from muster_session.store_postgres_classes import PostgresClasses
from muster_session.store_postgres_recipients import PostgresNotices
from muster_session.store_postgres_seats import PostgresSeats
from muster_session.store_postgres_transitions import PostgresTransitions
from muster_session.store_rows import session_of, session_values
from muster_session.tables import JOIN_CODE, ROOMS, SESSION, STATUS_CHANGE


class PostgresRoom:
    """A `Room` over the running transaction; made anew for every command."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._transaction = transaction
        self.session_id = transaction.room_id
        self.organization_id = transaction.organization_id
        self.now = transaction.now
        self.sessions = PostgresSessions(transaction)
        self.seats = PostgresSeats(transaction)
        self.blocks = PostgresBlocks(transaction)
        self.transitions = PostgresTransitions(transaction)
        self.classes = PostgresClasses(transaction)
        self.notices = PostgresNotices(transaction)

    def append(self, event: Event) -> None:
        """Append to the session's log."""
        self._transaction.append(event)

    async def set_deadline(self, key: str, fire_time: datetime, payload: bytes = b"") -> None:
        """Let something happen at a time."""
        await self._transaction.set_deadline(key, fire_time, payload)

    async def cancel_deadline(self, key: str) -> None:
        """Let it not happen."""
        await self._transaction.cancel_deadline(key)

    async def complete_deadline(self, deadline: Deadline) -> bool:
        """Take a claimed deadline off the list."""
        return await self._transaction.complete_deadline(deadline)

    async def remove(self) -> None:
        """Let the id of a removed session go."""
        await self._transaction.remove_room()


class PostgresSessions:
    """`SessionRows` in the tables `session`, `join_code` and `status_change`."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._session_id = transaction.room_id
        self._is_ours = SESSION.c.session_id == transaction.room_id

    async def get(self) -> Session:
        """Return the session."""
        row = (await self._connection.execute(select(SESSION).where(self._is_ours))).one_or_none()
        if row is None:
            raise MusterError(Reason.NOT_FOUND)
        return session_of(row)

    async def add(self, session: Session) -> None:
        """Store a new session."""
        await self._connection.execute(
            insert(SESSION).values(
                session_id=session.session_id,
                organization_id=session.organization_id,
                host_user_id=session.host_user_id,
                create_time=session.create_time,
                revision=session.revision,
                **session_values(session),
            )
        )

    async def save(self, session: Session) -> Session:
        """Store settings, status, code and times with the next revision."""
        statement = (
            update(SESSION)
            .where(self._is_ours)
            .values(revision=SESSION.c.revision + 1, **session_values(session))
            .returning(SESSION)
        )
        return session_of((await self._connection.execute(statement)).one())

    async def point_at(self, active_block_id: str) -> None:
        """Store which block is the active one."""
        statement = update(SESSION).where(self._is_ours).values(active_block_id=active_block_id)
        await self._connection.execute(statement)

    async def count_seats(self, *, participants: int, seats: int) -> int:
        """Add to the counters."""
        counters = SESSION.c
        statement = (
            update(SESSION)
            .where(self._is_ours)
            .values(
                participant_count=counters.participant_count + participants,
                seat_count=counters.seat_count + seats,
            )
            .returning(counters.participant_count)
        )
        count: int = (await self._connection.execute(statement)).scalar_one()
        return count

    async def add_change(self, change: StatusChange) -> None:
        """Append to the history of the status."""
        last = select(func.coalesce(func.max(STATUS_CHANGE.c.ordinal), 0)).where(
            STATUS_CHANGE.c.session_id == self._session_id
        )
        await self._connection.execute(
            insert(STATUS_CHANGE).values(
                session_id=self._session_id,
                ordinal=last.scalar_subquery() + 1,
                organization_id=self._transaction.organization_id,
                old_status=change.old_status.value if change.old_status else None,
                new_status=change.new_status.value,
                reason=change.reason,
                changed_by_user_id=change.changed_by_user_id,
                change_time=change.change_time,
            )
        )

    async def claim_code(self, code: str) -> bool:
        """Take a code for the session."""
        statement = (
            upsert(JOIN_CODE)
            .values(
                join_code=code,
                session_id=self._session_id,
                organization_id=self._transaction.organization_id,
            )
            .on_conflict_do_nothing(index_elements=["join_code"])
            .returning(JOIN_CODE.c.join_code)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def release_code(self) -> None:
        """Let the session's code go."""
        await self._connection.execute(delete(JOIN_CODE).where(JOIN_CODE.c.session_id == self._session_id))

    async def remove(self) -> None:
        """Remove the session; what refers to it goes with it."""
        await self._connection.execute(delete(SESSION).where(self._is_ours))
        deadline = ROOMS.deadline
        await self._connection.execute(delete(deadline).where(deadline.c.room_id == self._session_id))
        await self._transaction.begin_log_anew()
