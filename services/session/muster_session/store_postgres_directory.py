"""Look-ups over sessions, seats and blocks in PostgreSQL, each in a short transaction of its own."""

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from muster_kit.db import Database
from muster_kit.db.engine import ORGANIZATION_SETTING
from muster_kit.errors import MusterError, Reason
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Row,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from muster_session.model import (
    LIVE,
    Participant,
    ParticipantStatus,
    Session,
    Status,
    StatusChange,
    Visibility,
)
from muster_session.model_blocks import Block, Transition
from muster_session.store_directory import SeatsFound, SessionFilter, SnapshotRows
from muster_session.store_rows import block_of, change_of, seat_of, session_of, transition_of
from muster_session.tables import BLOCK, JOIN_CODE, PARTICIPANT, ROOMS, SESSION, STATUS_CHANGE, TRANSITION

_COUNT_SECONDS: Final = 10.0

_HOLDS: Final = [ParticipantStatus.JOINED.value, ParticipantStatus.LEFT.value]

_NO_CLASSES: Final[ColumnElement[Any]] = literal_column("'{}'")


class PostgresDirectory:
    """`Directory` over the app's role; the count of codes, over all organizations, over the writer's."""

    def __init__(self, database: Database, writer_database: Database) -> None:
        self._database = database
        self._writer_database = writer_database
        self._live_codes = 0
        self._counted = float("-inf")

    async def find(self, organization_id: str, session_id: str) -> Session | None:
        """Return a session, or None."""
        return await self._session(organization_id, _session(organization_id, session_id))

    async def find_with_seat(
        self, organization_id: str, session_id: str, *, user_id: str = "", participant_id: str = ""
    ) -> tuple[Session, Participant | None] | None:
        """Return a session and a seat in it."""
        seat = PARTICIPANT.c
        ours = (seat.organization_id == organization_id, seat.session_id == session_id)
        whose = seat.user_id == user_id if user_id else seat.participant_id == participant_id
        async with self._database.transaction(organization_id) as transaction:
            execute = transaction.connection.execute
            session = (await execute(_session(organization_id, session_id))).one_or_none()
            if session is None:
                return None
            held = await execute(select(PARTICIPANT).where(*ours, whose))
            row = held.one_or_none()
        return session_of(session), None if row is None else seat_of(row)

    async def find_with_seats(
        self, organization_id: str, session_id: str, participant_ids: Collection[str]
    ) -> SeatsFound | None:
        """Return a session and seats in it."""
        seat = PARTICIPANT.c
        query = select(PARTICIPANT).where(
            seat.organization_id == organization_id,
            seat.session_id == session_id,
            seat.participant_id == any_(literal(list(participant_ids), ARRAY(Text))),
        )
        async with self._database.transaction(organization_id) as transaction:
            execute = transaction.connection.execute
            session = (await execute(_session(organization_id, session_id))).one_or_none()
            if session is None:
                return None
            rows = (await execute(query)).all()
        return SeatsFound(session_of(session), {row.participant_id: seat_of(row) for row in rows})

    async def find_transition(self, organization_id: str, transition_id: str) -> Transition | None:
        """Return a move, under way or done."""
        move = TRANSITION.c
        rows = await self._rows(
            organization_id,
            select(TRANSITION).where(
                move.transition_id == transition_id, move.organization_id == organization_id
            ),
        )
        return transition_of(rows[0]) if rows else None

    async def list_sessions(
        self, organization_id: str, wanted: SessionFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Session]:
        """Return sessions, newest first."""
        place = tuple_(SESSION.c.create_time, SESSION.c.session_id)
        query = (
            select(SESSION)
            .where(SESSION.c.organization_id == organization_id, *_conditions(wanted))
            .where(true() if after is None else place < tuple_(*after))
            .order_by(SESSION.c.create_time.desc(), SESSION.c.session_id.desc())
            .limit(limit)
        )
        return [session_of(row) for row in await self._rows(organization_id, query)]

    async def list_changes(
        self, organization_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[tuple[int, StatusChange]]:
        """Return moves of the status, oldest first."""
        change = STATUS_CHANGE.c
        query = (
            select(STATUS_CHANGE)
            .where(
                change.organization_id == organization_id,
                change.session_id == session_id,
                change.ordinal > after,
            )
            .order_by(change.ordinal)
            .limit(limit)
        )
        return [(row.ordinal, change_of(row)) for row in await self._rows(organization_id, query)]

    async def list_seats(
        self,
        organization_id: str,
        session_id: str,
        statuses: frozenset[ParticipantStatus],
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Participant]:
        """Return seats in order of joining."""
        query = _seats(organization_id, session_id, statuses, after=after, limit=limit)
        return [seat_of(row) for row in await self._rows(organization_id, query)]

    async def list_blocks(
        self, organization_id: str, session_id: str, *, shown_only: bool, after: int, limit: int
    ) -> Sequence[Block]:
        """Return blocks in order of position."""
        query = _blocks(organization_id, session_id).where(BLOCK.c.position > after).limit(limit)
        if shown_only:
            query = query.where(BLOCK.c.round_id != "")
        return [block_of(row) for row in await self._rows(organization_id, query)]

    async def snapshot(self, organization_id: str, session_id: str, *, max_seats: int) -> SnapshotRows:
        """Return the whole session as it stood after its last event."""
        log = ROOMS.room_log.c
        joined = frozenset({ParticipantStatus.JOINED})
        async with self._database.connection() as connection:
            # One moment for all queries: what an event did is in all of them, or in none.
            await connection.execution_options(isolation_level="REPEATABLE READ")
            await _set_organization(connection, organization_id)
            execute = connection.execute
            session = (await execute(_session(organization_id, session_id))).one_or_none()
            head = select(log.head_seq).where(log.room_id == session_id)
            seq = (await execute(head)).scalar_one_or_none()
            if session is None or seq is None:
                raise MusterError(Reason.NOT_FOUND)
            blocks = (await execute(_blocks(organization_id, session_id))).all()
            seats = (
                await execute(_seats(organization_id, session_id, joined, after=None, limit=max_seats))
            ).all()
        return SnapshotRows(
            seq,
            session_of(session),
            [block_of(row) for row in blocks],
            [seat_of(row) for row in seats],
        )

    async def live_codes(self) -> int:
        """Return how many codes are live, as of a few seconds ago: a bound is not passed in a moment."""
        now = time.monotonic()
        if now - self._counted > _COUNT_SECONDS:
            async with self._writer_database.transaction("") as transaction:
                count = await transaction.connection.execute(select(func.count()).select_from(JOIN_CODE))
            self._live_codes, self._counted = count.scalar_one(), now
        return self._live_codes

    async def _session(self, organization_id: str, query: Select[Any]) -> Session | None:
        rows = await self._rows(organization_id, query)
        return session_of(rows[0]) if rows else None

    async def _rows(self, organization_id: str, query: Executable) -> Sequence[Row[Any]]:
        async with self._database.transaction(organization_id) as transaction:
            return (await transaction.connection.execute(query)).all()


async def _set_organization(connection: AsyncConnection, organization_id: str) -> None:
    await connection.execute(select(func.set_config(ORGANIZATION_SETTING, organization_id, True)))


def _session(organization_id: str, session_id: str) -> Select[Any]:
    return select(SESSION).where(
        SESSION.c.session_id == session_id, SESSION.c.organization_id == organization_id
    )


def _blocks(organization_id: str, session_id: str) -> Select[Any]:
    block = BLOCK.c
    ours = (block.organization_id == organization_id, block.session_id == session_id)
    return select(BLOCK).where(*ours).order_by(block.position)


def _seats(
    organization_id: str,
    session_id: str,
    statuses: frozenset[ParticipantStatus],
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Select[Any]:
    seat = PARTICIPANT.c
    return (
        select(PARTICIPANT)
        .where(seat.organization_id == organization_id, seat.session_id == session_id)
        .where(seat.status.in_([status.value for status in statuses]))
        .where(true() if after is None else tuple_(seat.join_time, seat.participant_id) > tuple_(*after))
        .order_by(seat.join_time, seat.participant_id)
        .limit(limit)
    )


def _conditions(wanted: SessionFilter) -> list[ColumnElement[bool]]:
    session = SESSION.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(_is_one_of(wanted.statuses))
    if wanted.host_user_id:
        conditions.append(session.host_user_id == wanted.host_user_id)
    if wanted.class_id:
        # The second says nothing new, but without it the planner does not see that the index will do.
        conditions += [session.class_ids.contains([wanted.class_id]), session.class_ids != _NO_CLASSES]
    if wanted.course_id:
        conditions.append(session.course_id == wanted.course_id)
    if wanted.visible_to:
        seat = PARTICIPANT.c
        held = select(seat.session_id).where(
            seat.organization_id == session.organization_id,
            seat.user_id == wanted.visible_to,
            seat.status.in_(_HOLDS),
        )
        public = session.visibility == Visibility.PUBLIC.value
        own = session.host_user_id == wanted.visible_to
        conditions.append(or_(and_(public, _is_one_of(LIVE)), session.session_id.in_(held), own))
    return conditions


def _is_one_of(statuses: frozenset[Status]) -> ColumnElement[bool]:
    # As literals, so that the planner can tell whether the index of live sessions will do.
    values: BindParameter[str] = bindparam(
        None, sorted(status.value for status in statuses), expanding=True, literal_execute=True
    )
    return SESSION.c.status.in_(values)
