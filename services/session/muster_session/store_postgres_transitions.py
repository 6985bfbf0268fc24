"""The moves of one session in PostgreSQL, under way or done."""

from collections.abc import Sequence

from muster_kit.db import RoomTransaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import insert, select, update

from muster_session.model_blocks import Transition
from muster_session.store_rows import transition_of, transition_values
from muster_session.tables import TRANSITION


class PostgresTransitions:
    """`TransitionRows` in the table `transition`."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._connection = transaction.connection
        self._is_ours = TRANSITION.c.session_id == transaction.room_id

    async def get(self, transition_id: str) -> Transition:
        """Return a move, which must be there."""
        query = select(TRANSITION).where(self._is_ours, TRANSITION.c.transition_id == transition_id)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise MusterError(Reason.NOT_FOUND)
        return transition_of(row)

    async def open(self) -> Sequence[Transition]:
        """Return those that still have to be finished, oldest first."""
        query = select(TRANSITION).where(
            self._is_ours, TRANSITION.c.outcome.is_(None), TRANSITION.c.failure == ""
        )
        rows = await self._connection.execute(query.order_by(TRANSITION.c.begin_time))
        return [transition_of(row) for row in rows]

    async def add(self, transition: Transition) -> None:
        """Store a move."""
        await self._connection.execute(insert(TRANSITION).values(transition_values(transition)))

    async def save(self, transition: Transition) -> None:
        """Store what became of it."""
        await self._connection.execute(
            update(TRANSITION)
            .where(self._is_ours, TRANSITION.c.transition_id == transition.transition_id)
            .values(outcome=transition.outcome, failure=transition.failure)
        )
