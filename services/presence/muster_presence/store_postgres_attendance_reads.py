"""What is kept of the attendance of a session, read from PostgreSQL, in whatever transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from muster_kit.errors import MusterError, Reason
from sqlalchemy import ColumnElement, Select, Table, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from muster_presence.model import ScopeId
from muster_presence.model_attendance import Status
from muster_presence.model_attended import Attended
from muster_presence.model_sheet import Book, Mark, Point
from muster_presence.store_attendance_rows import (
    attended_of,
    mark_of,
    point_of,
    record_of,
    rule_of,
    student_of,
)
from muster_presence.tables_attendance import ATTENDED, MARK, POINT, RECORD, RULE, STUDENT


async def find_attended(connection: AsyncConnection, scope: ScopeId) -> Attended | None:
    """Return what was reported of a session."""
    row = ATTENDED.c
    query = select(ATTENDED).where(
        row.organization_id == scope.organization_id,
        row.kind == scope.kind.value,
        row.scope_id == scope.scope_id,
    )
    found = (await connection.execute(query)).one_or_none()
    return attended_of(found) if found else None


async def find_last_point(connection: AsyncConnection, scope: ScopeId) -> Point | None:
    """Return the newest point of a session."""
    query = select(POINT).where(is_of(POINT, scope)).order_by(POINT.c.record_time.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return point_of(row) if row else None


async def read_book(connection: AsyncConnection, scope: ScopeId, as_of: datetime | None = None) -> Book:
    """Return all that is kept of a session, or was at a time; NOT_FOUND before the first report."""
    attended = await find_attended(connection, scope)
    if attended is None:
        raise MusterError(Reason.NOT_FOUND)
    rule = (await connection.execute(_rule_query(scope, as_of))).one_or_none()
    students = (await connection.execute(_students_query(scope, as_of))).all()
    records = (await connection.execute(select(RECORD).where(is_of(RECORD, scope)))).all()
    return Book(
        attended=attended,
        rule=rule_of(rule),
        students=[student_of(row) for row in students],
        marks=await _marks(connection, scope, as_of),
        records={row.user_id: record_of(row) for row in records},
    )


async def _marks(connection: AsyncConnection, scope: ScopeId, as_of: datetime | None) -> Mapping[str, Mark]:
    row = MARK.c
    known = and_(is_of(MARK, scope), *_before(row.mark_time, as_of))
    newest = select(func.max(row.ordinal)).where(known).group_by(row.user_id)
    query = select(MARK).where(is_of(MARK, scope), row.ordinal.in_(newest))
    marks = [mark_of(found) for found in await connection.execute(query)]
    return {mark.user_id: mark for mark in marks if mark.status is not Status.UNKNOWN}


def _rule_query(scope: ScopeId, as_of: datetime | None) -> Select[Any]:
    row = RULE.c
    query = select(RULE).where(is_of(RULE, scope), *_before(row.set_time, as_of))
    return query.order_by(row.revision.desc()).limit(1)


def _students_query(scope: ScopeId, as_of: datetime | None) -> Select[Any]:
    row = STUDENT.c
    is_there: ColumnElement[bool] = row.remove_time.is_(None)
    if as_of is not None:
        is_there = and_(row.add_time <= as_of, is_there | (row.remove_time > as_of))
    return select(STUDENT).where(is_of(STUDENT, scope), is_there)


def _before(column: ColumnElement[datetime], as_of: datetime | None) -> list[ColumnElement[bool]]:
    return [] if as_of is None else [column <= as_of]


def is_of(table: Table, scope: ScopeId) -> ColumnElement[bool]:
    """Return what holds of the rows of a session."""
    row = table.c
    return and_(row.organization_id == scope.organization_id, row.session_id == scope.scope_id)
