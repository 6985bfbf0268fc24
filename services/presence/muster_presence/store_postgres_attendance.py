"""The attendance of one session in PostgreSQL, in a room's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from muster_kit.db import Deadline, RoomTransaction
from sqlalchemy import (
    BindParameter,
    ColumnElement,
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

from muster_presence.attendance_rooms import scope_of_room
from muster_presence.model_attended import Attended
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Book, Change, Mark, Point, Record, SessionRule, Student
from muster_presence.store_attendance import Event
from muster_presence.store_attendance_rows import (
    attended_values,
    change_values,
    channel_of,
    mark_values,
    point_values,
    record_values,
    rule_values,
)
from muster_presence.store_postgres_attendance_reads import find_attended, find_last_point, is_of, read_book
from muster_presence.tables_attendance import ATTENDED, CHANGE, CHANNEL, MARK, POINT, RECORD, RULE, STUDENT

_ERASED: Final = text("""
SELECT user_id, erase_time FROM presence.erased_user
WHERE organization_id = :organization_id AND user_id = ANY (CAST(:user_ids AS text[]))
""")


# One that was never configured has no revision.
_ACTIVITIES: Final = text("""
INSERT INTO presence.channel AS known
    (organization_id, session_id, name, configuration, hidden_from_students, create_time, revision,
     last_activity_time)
SELECT :organization_id, :session_id, told.name, '', false, told.time, 0, told.time
FROM unnest(CAST(:names AS text[]), CAST(:times AS timestamptz[])) AS told (name, time)
ON CONFLICT (organization_id, session_id, name) DO UPDATE
SET last_activity_time = greatest(known.last_activity_time, excluded.last_activity_time)
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
                is_of(STUDENT, self.scope),
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
            await self._connection.execute(delete(RECORD).where(is_of(RECORD, self.scope), is_one))

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
            is_it = and_(is_of(POINT, self.scope), POINT.c.record_time == instead_of.record_time)
            await self._connection.execute(delete(POINT).where(is_it))
        values = {**self._key, **point_values(point)}
        await self._connection.execute(upsert(POINT).values(**values).on_conflict_do_nothing())

    async def channel(self, name: str) -> Channel | None:
        """Return a channel."""
        query = select(CHANNEL).where(is_of(CHANNEL, self.scope), CHANNEL.c.name == name)
        row = (await self._connection.execute(query)).one_or_none()
        return channel_of(row) if row else None

    async def count_channels(self) -> int:
        """Return how many channels there are."""
        query = select(func.count()).select_from(CHANNEL).where(is_of(CHANNEL, self.scope))
        found: int = (await self._connection.execute(query)).scalar_one()
        return found

    async def note_activities(self, activities: Mapping[str, datetime]) -> None:
        """Store last activities, of which the latest counts."""
        if not activities:
            return
        names = sorted(activities)
        values = {"names": names, "times": [activities[name] for name in names]}
        await self._connection.execute(_ACTIVITIES, {**self._key, **values})

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
        query = select(func.coalesce(func.max(column), 0)).where(is_of(table, self.scope))
        last: int = (await self._connection.execute(query)).scalar_one()
        return last + 1


def _texts(values: Iterable[str]) -> BindParameter[Sequence[str]]:
    """Return one parameter, however many they are."""
    return literal(list(values), ARRAY(Text))
