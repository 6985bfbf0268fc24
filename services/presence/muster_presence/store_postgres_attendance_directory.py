"""Looking up attendance in PostgreSQL, outside of a room's transaction."""

from collections.abc import Sequence
from datetime import datetime

from muster_kit.db import Database
from muster_kit.errors import MusterError, Reason
from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_

from muster_presence.attendance_rooms import room_of
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_attended import Attended
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Book, Change, Point, Record
from muster_presence.store_attendance import RecordFilter
from muster_presence.store_attendance_rows import change_of, channel_of, point_of, record_of
from muster_presence.store_postgres_attendance_reads import find_attended, find_last_point, read_book
from muster_presence.tables import ROOMS
from muster_presence.tables_attendance import ATTENDED, CHANGE, CHANNEL, POINT, RECORD, STUDENT


class PostgresAttendanceDirectory:
    """`AttendanceDirectory` over transactions of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, scope: ScopeId) -> Attended | None:
        """Return what was reported."""
        async with self._database.transaction(scope.organization_id) as transaction:
            return await find_attended(transaction.connection, scope)

    async def book(self, scope: ScopeId, as_of: datetime | None = None) -> tuple[Book, int]:
        """Return all that is kept, with the seq of the log that it is at."""
        log = ROOMS.room_log.c
        async with self._database.transaction(scope.organization_id) as transaction:
            connection = transaction.connection
            # Whoever writes waits for the end of this, and it for who writes: the two are of one moment.
            query = select(log.head_seq).where(log.room_id == room_of(scope)).with_for_update(read=True)
            seq = (await connection.execute(query)).scalar_one_or_none()
            if seq is None:
                raise MusterError(Reason.NOT_FOUND)
            return await read_book(connection, scope, as_of), seq

    async def is_student(self, scope: ScopeId, user_id: str) -> bool:
        """Tell whether someone is in the roster."""
        row = STUDENT.c
        query = select(
            exists().where(
                row.organization_id == scope.organization_id,
                row.session_id == scope.scope_id,
                row.user_id == user_id,
                row.remove_time.is_(None),
            )
        )
        async with self._database.transaction(scope.organization_id) as transaction:
            found: bool = (await transaction.connection.execute(query)).scalar_one()
            return found

    async def list_records_of_user(
        self, organization_id: str, wanted: RecordFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[tuple[datetime, Record]]:
        """Return records, last session first."""
        row = RECORD.c
        place = tuple_(row.session_start_time, row.session_id)
        query = (
            select(RECORD)
            .where(row.user_id == wanted.user_id, *_wanted(organization_id, wanted))
            .order_by(row.session_start_time.desc(), row.session_id.desc())
            .limit(limit)
        )
        if after is not None:
            query = query.where(place < tuple_(*after))
        async with self._database.transaction(organization_id) as transaction:
            rows = await transaction.connection.execute(query)
            return [(found.session_start_time, record_of(found)) for found in rows]

    async def list_records_of_class(
        self, organization_id: str, wanted: RecordFilter, *, after: tuple[str, str, str] | None, limit: int
    ) -> Sequence[Record]:
        """Return records by name."""
        row = RECORD.c
        query = (
            select(RECORD)
            .where(row.class_ids.contains([wanted.class_id]), *_wanted(organization_id, wanted))
            .order_by(row.sort_name, row.user_id, row.session_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(row.sort_name, row.user_id, row.session_id) > tuple_(*after))
        async with self._database.transaction(organization_id) as transaction:
            return [record_of(found) for found in await transaction.connection.execute(query)]

    async def list_changes(self, scope: ScopeId, user_id: str, *, after: int, limit: int) -> Sequence[Change]:
        """Return changes, oldest first."""
        row = CHANGE.c
        of_user = [row.user_id == user_id] if user_id else []
        query = (
            select(CHANGE)
            .where(
                row.organization_id == scope.organization_id,
                row.session_id == scope.scope_id,
                row.seq > after,
                *of_user,
            )
            .order_by(row.seq)
            .limit(limit)
        )
        async with self._database.transaction(scope.organization_id) as transaction:
            return [change_of(found) for found in await transaction.connection.execute(query)]

    async def list_points(
        self, scope: ScopeId, start: datetime | None, end: datetime | None, *, limit: int
    ) -> tuple[Sequence[Point], Point | None]:
        """Return points: of as many runs as there may be points the last one each."""
        row = POINT.c
        bounds = [row.organization_id == scope.organization_id, row.session_id == scope.scope_id]
        bounds += [] if start is None else [row.record_time >= start]
        bounds += [] if end is None else [row.record_time < end]
        run = func.ntile(limit).over(order_by=row.record_time).label("run")
        numbered = select(row.record_time, run).where(*bounds).subquery()
        last = select(func.max(numbered.c.record_time)).group_by(numbered.c.run)
        query = select(POINT).where(*bounds, row.record_time.in_(last)).order_by(row.record_time)
        async with self._database.transaction(scope.organization_id) as transaction:
            points = [point_of(found) for found in await transaction.connection.execute(query)]
            return points, await find_last_point(transaction.connection, scope)

    async def list_channels(self, scope: ScopeId, *, limit: int) -> Sequence[Channel]:
        """Return configured channels by name."""
        row = CHANNEL.c
        query = (
            select(CHANNEL)
            .where(row.organization_id == scope.organization_id, row.session_id == scope.scope_id)
            .order_by(row.name)
            .limit(limit)
        )
        async with self._database.transaction(scope.organization_id) as transaction:
            return [channel_of(found) for found in await transaction.connection.execute(query)]


def _wanted(organization_id: str, wanted: RecordFilter) -> list[ColumnElement[bool]]:
    row = RECORD.c
    # Before the start there is nothing to list.
    conditions = [row.organization_id == organization_id, row.session_start_time.is_not(None)]
    if wanted.statuses:
        conditions.append(row.status.in_(sorted(wanted.statuses)))
    if wanted.start_time is not None:
        conditions.append(row.session_start_time >= wanted.start_time)
    if wanted.end_time is not None:
        conditions.append(row.session_start_time < wanted.end_time)
    if wanted.run_by:
        conditions.append(_runs(wanted.run_by))
    return conditions


def _runs(user_id: str) -> ColumnElement[bool]:
    attended = ATTENDED.c
    of_record = and_(
        attended.organization_id == RECORD.c.organization_id,
        attended.kind == ScopeKind.SESSION.value,
        attended.scope_id == RECORD.c.session_id,
    )
    return exists().where(
        of_record, or_(attended.host_user_id == user_id, attended.teacher_user_ids.contains([user_id]))
    )
