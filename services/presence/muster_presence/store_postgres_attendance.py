"""The attendance of one session in PostgreSQL, in a room's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from muster_kit.db import Deadline, RoomTransaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Table,
    Text,
    all_,
    and_,
    any_,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from muster_presence.attendance_rooms import scope_of_room
from muster_presence.model import ScopeId
from muster_presence.model_attendance import Status
from muster_presence.model_attended import Attended
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Book, Change, Mark, Point, Record, SessionRule, Student
from muster_presence.store_attendance import Event
from muster_presence.store_attendance_rows import (
    attended_of,
    attended_values,
    change_values,
    channel_of,
    mark_of,
    mark_values,
    point_of,
    point_values,
    record_of,
    record_values,
    rule_of,
    rule_values,
    student_of,
)
from muster_presence.tables_attendance import ATTENDED, CHANGE, CHANNEL, MARK, POINT, RECORD, RULE, STUDENT

_ERASED: Final = text("""
SELECT user_id, erase_time FROM presence.erased_user
WHERE organization_id = :organization_id AND user_id = ANY (CAST(:user_ids AS text[]))
""")


class PostgresAttendanceRoom:
    """An `AttendanceRoom` over the running transaction; made anew for every command."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self.scope = scope_of_room(transaction.room_id)
        self.now = transaction.now
        self._key = {"organization_id": self.scope.organization_id, "session_id": self.scope.scope_id}

    async def attended(self) -> Attended | None:
        """Return what was reported."""
        return await find_attended(self._connection, self.scope)

    async def save_attended(self, attended: Attended) -> None:
        """Store what was reported, in place of what was."""
        scope, values = self.scope, attended_values(attended)
        key = {"organization_id": scope.organization_id, "kind": scope.kind.value, "scope_id": scope.scope_id}
        statement = upsert(ATTENDED).values(**key, **values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))

    async def put_students(self, students: Sequence[Student]) -> None:
        """Store who is in the roster, and note who no longer is."""
        row = STUDENT.c
        gone = (
            update(STUDENT)
            .where(
                _is_of(STUDENT, self.scope),
                row.remove_time.is_(None),
                row.user_id != all_(_texts(student.user_id for student in students)),
            )
            .values(remove_time=self.now)
        )
        await self._connection.execute(gone)
        if not students:
            return
        statement = upsert(STUDENT)
        statement = statement.on_conflict_do_update(
            index_elements=["organization_id", "session_id", "user_id"],
            index_where=row.remove_time.is_(None),
            set_={
                "display_name": statement.excluded.display_name,
                "class_ids": statement.excluded.class_ids,
            },
        )
        rows = [
            {
                **self._key,
                "user_id": student.user_id,
                "display_name": student.display_name,
                "class_ids": list(student.class_ids),
                "add_time": self.now,
            }
            for student in students
        ]
        await self._connection.execute(statement, rows)

    async def book(self) -> Book:
        """Return all that is kept."""
        return await read_book(self._connection, self.scope)

    async def add_rule(self, rule: SessionRule, by: str) -> None:
        """Append a rule."""
        values = rule_values(rule)
        await self._connection.execute(
            insert(RULE).values(**self._key, **values, set_by_user_id=by, set_time=self.now)
        )

    async def add_marks(self, marks: Sequence[Mark]) -> None:
        """Append marks."""
        first = await self._next(MARK, MARK.c.ordinal)
        rows = [
            {**self._key, "ordinal": first + index, **mark_values(mark)} for index, mark in enumerate(marks)
        ]
        await self._connection.execute(insert(MARK), rows)

    async def save_records(
        self, attended: Attended, records: Sequence[Record], students: Collection[Student]
    ) -> None:
        """Store records, in place of what was."""
        if not records:
            return
        class_ids = {student.user_id: student.class_ids for student in students}
        statement = upsert(RECORD)
        key = ["organization_id", "session_id", "user_id"]
        others = {
            column.name: statement.excluded[column.name] for column in RECORD.c if column.name not in key
        }
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=others),
            [
                {**self._key, **record_values(record, class_ids.get(record.user_id, ()), attended)}
                for record in records
            ],
        )

    async def remove_records(self, user_ids: Collection[str]) -> None:
        """Delete records."""
        if user_ids:
            is_one = RECORD.c.user_id == any_(_texts(user_ids))
            await self._connection.execute(delete(RECORD).where(_is_of(RECORD, self.scope), is_one))

    async def erased(self, user_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return who was erased, and when."""
        if not user_ids:
            return {}
        names = {"organization_id": self.scope.organization_id, "user_ids": list(user_ids)}
        rows = await self._connection.execute(_ERASED, names)
        return {row.user_id: row.erase_time for row in rows}

    async def add_changes(self, changes: Sequence[Change]) -> None:
        """Append changes."""
        if not changes:
            return
        first = await self._next(CHANGE, CHANGE.c.seq)
        rows = [
            {**self._key, "seq": first + index, **change_values(change)}
            for index, change in enumerate(changes)
        ]
        await self._connection.execute(insert(CHANGE), rows)

    async def last_point(self) -> Point | None:
        """Return the newest point."""
        return await find_last_point(self._connection, self.scope)

    async def add_point(self, point: Point, *, instead_of: Point | None = None) -> None:
        """Append a point, or replace one."""
        if instead_of is not None:
            is_it = and_(_is_of(POINT, self.scope), POINT.c.record_time == instead_of.record_time)
            await self._connection.execute(delete(POINT).where(is_it))
        values = {**self._key, **point_values(point)}
        await self._connection.execute(upsert(POINT).values(**values).on_conflict_do_nothing())

    async def channel(self, name: str) -> Channel | None:
        """Return a channel."""
        query = select(CHANNEL).where(_is_of(CHANNEL, self.scope), CHANNEL.c.name == name)
        row = (await self._connection.execute(query)).one_or_none()
        return channel_of(row) if row else None

    async def count_channels(self) -> int:
        """Return how many channels there are."""
        query = select(func.count()).select_from(CHANNEL).where(_is_of(CHANNEL, self.scope))
        found: int = (await self._connection.execute(query)).scalar_one()
        return found

    async def save_channel(self, channel: Channel) -> None:
        """Store a channel, in place of what was."""
        changing = {
            "configuration": channel.packed,
            "hidden_from_students": channel.hidden_from_students,
            "revision": channel.revision,
        }
        made = {"name": channel.name, "create_time": channel.create_time}
        statement = upsert(CHANNEL).values(**self._key, **made, **changing)
        key = ["organization_id", "session_id", "name"]
        await self._connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changing))

    def append(self, event: Event) -> None:
        """Append to the log."""
        self._transaction.append(event)

    async def set_deadline(self, key: str, fire_time: datetime) -> None:
        """Let something happen at a time."""
        await self._transaction.set_deadline(key, fire_time)

    async def cancel_deadline(self, key: str) -> None:
        """Let it not happen."""
        await self._transaction.cancel_deadline(key)

    async def complete_deadline(self, deadline: Deadline) -> bool:
        """Take a claimed deadline off the list."""
        return await self._transaction.complete_deadline(deadline)

    async def _next(self, table: Table, column: ColumnElement[int]) -> int:
        """Return the number behind the last one; nobody else counts while the room is held."""
        query = select(func.coalesce(func.max(column), 0)).where(_is_of(table, self.scope))
        last: int = (await self._connection.execute(query)).scalar_one()
        return last + 1


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
    query = select(POINT).where(_is_of(POINT, scope)).order_by(POINT.c.record_time.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return point_of(row) if row else None


async def read_book(connection: AsyncConnection, scope: ScopeId, as_of: datetime | None = None) -> Book:
    """Return all that is kept of a session, or was at a time; NOT_FOUND before the first report."""
    attended = await find_attended(connection, scope)
    if attended is None:
        raise MusterError(Reason.NOT_FOUND)
    rule = (await connection.execute(_rule_query(scope, as_of))).one_or_none()
    students = (await connection.execute(_students_query(scope, as_of))).all()
    records = (await connection.execute(select(RECORD).where(_is_of(RECORD, scope)))).all()
    return Book(
        attended=attended,
        rule=rule_of(rule),
        students=[student_of(row) for row in students],
        marks=await _marks(connection, scope, as_of),
        records={row.user_id: record_of(row) for row in records},
    )


async def _marks(connection: AsyncConnection, scope: ScopeId, as_of: datetime | None) -> Mapping[str, Mark]:
    row = MARK.c
    known = and_(_is_of(MARK, scope), *_before(row.mark_time, as_of))
    newest = select(func.max(row.ordinal)).where(known).group_by(row.user_id)
    query = select(MARK).where(_is_of(MARK, scope), row.ordinal.in_(newest))
    marks = [mark_of(found) for found in await connection.execute(query)]
    return {mark.user_id: mark for mark in marks if mark.status is not Status.UNKNOWN}


def _rule_query(scope: ScopeId, as_of: datetime | None) -> Select[Any]:
    row = RULE.c
    query = select(RULE).where(_is_of(RULE, scope), *_before(row.set_time, as_of))
    return query.order_by(row.revision.desc()).limit(1)


def _students_query(scope: ScopeId, as_of: datetime | None) -> Select[Any]:
    row = STUDENT.c
    is_there: ColumnElement[bool] = row.remove_time.is_(None)
    if as_of is not None:
        is_there = and_(row.add_time <= as_of, is_there | (row.remove_time > as_of))
    return select(STUDENT).where(_is_of(STUDENT, scope), is_there)


def _texts(values: Iterable[str]) -> BindParameter[Sequence[str]]:
    """Return one parameter, however many they are."""
    return literal(list(values), ARRAY(Text))


def _before(column: ColumnElement[datetime], as_of: datetime | None) -> list[ColumnElement[bool]]:
    return [] if as_of is None else [column <= as_of]


def _is_of(table: Table, scope: ScopeId) -> ColumnElement[bool]:
    row = table.c
    return and_(row.organization_id == scope.organization_id, row.session_id == scope.scope_id)
