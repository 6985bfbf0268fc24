"""The seats of one session in PostgreSQL."""

from muster_kit.db import RoomTransaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import ColumnElement, insert, select, update

from muster_session.model import Participant
from muster_session.store_rows import seat_of, seat_values
from muster_session.tables import PARTICIPANT


class PostgresSeats:
    """`SeatRows` in the table `participant`."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._connection = transaction.connection
        self._organization_id = transaction.organization_id
        self._is_ours = PARTICIPANT.c.session_id == transaction.room_id

    async def get(self, participant_id: str) -> Participant:
        """Return a seat, which must be there."""
        seat = await self.find(participant_id)
        if seat is None:
            raise MusterError(Reason.NOT_FOUND)
        return seat

    async def find(self, participant_id: str) -> Participant | None:
        """Return a seat, or None."""
        return await self._one(PARTICIPANT.c.participant_id == participant_id)

    async def of_user(self, user_id: str) -> Participant | None:
        """Return the user's seat, or None."""
        return await self._one(PARTICIPANT.c.user_id == user_id)

    async def add(self, seat: Participant) -> None:
        """Store a new seat."""
        await self._connection.execute(
            insert(PARTICIPANT).values(
                participant_id=seat.participant_id,
                session_id=seat.session_id,
                organization_id=self._organization_id,
                user_id=seat.user_id,
                join_time=seat.join_time,
                **seat_values(seat),
            )
        )

    async def save(self, seat: Participant, *, reason: str = "", changed_by_user_id: str = "") -> None:
        """Store a seat."""
        await self._connection.execute(
            update(PARTICIPANT)
            .where(self._is_ours, PARTICIPANT.c.participant_id == seat.participant_id)
            .values(change_reason=reason, changed_by_user_id=changed_by_user_id, **seat_values(seat))
        )

    async def _one(self, condition: ColumnElement[bool]) -> Participant | None:
        query = select(PARTICIPANT).where(self._is_ours, condition)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else seat_of(row)
