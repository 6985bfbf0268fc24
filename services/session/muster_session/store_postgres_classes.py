"""Classes and their members in PostgreSQL, in a running transaction."""

from collections.abc import Mapping, Sequence
from typing import Final

from muster_kit.db import Transaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import ColumnElement, and_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from muster_session.model_classes import ClassMember, ClassStatus, MemberRole, NewMember, SchoolClass
from muster_session.store_rows import class_of, class_values
from muster_session.tables import CLASS

# In one statement each, however many they are. What is counted first is what was there before.
_PUT: Final = text("""
WITH old AS (
    SELECT count(*) AS students FROM session.class_member
    WHERE organization_id = :organization_id AND class_id = :class_id AND role = 'student'
      AND user_id = ANY (CAST(:user_ids AS text[]))
),
counted AS (
    UPDATE session.class SET student_count = student_count + :students - old.students FROM old
    WHERE organization_id = :organization_id AND class_id = :class_id
    RETURNING student_count
),
put AS (
    INSERT INTO session.class_member
        (organization_id, class_id, user_id, display_name, sort_name, role, create_time)
    SELECT :organization_id, :class_id, user_id, display_name, sort_name, role, :now
    FROM unnest(
        CAST(:user_ids AS text[]),
        CAST(:display_names AS text[]),
        CAST(:sort_names AS text[]),
        CAST(:roles AS text[])
    ) AS given (user_id, display_name, sort_name, role)
    ON CONFLICT (organization_id, class_id, user_id) DO UPDATE
    SET display_name = excluded.display_name, sort_name = excluded.sort_name, role = excluded.role
    RETURNING user_id, create_time
)
SELECT put.user_id, put.create_time, counted.student_count FROM put CROSS JOIN counted
""")

_REMOVE: Final = text("""
WITH gone AS (
    DELETE FROM session.class_member
    WHERE organization_id = :organization_id AND class_id = :class_id
      AND user_id = ANY (CAST(:user_ids AS text[]))
    RETURNING role
),
summed AS (
    SELECT count(*) AS members, count(*) FILTER (WHERE role = 'student') AS students FROM gone
)
UPDATE session.class SET student_count = student_count - summed.students FROM summed
WHERE organization_id = :organization_id AND class_id = :class_id
RETURNING summed.members, student_count
""")


class PostgresClasses:
    """`Classes` and `ClassLinks` over the running transaction, in the tables `class` and `class_member`."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection
        self.organization_id = transaction.organization_id
        self.now = transaction.now

    async def lock(self, class_id: str) -> SchoolClass:
        """Return a class, which must be there, and hold it."""
        # NO KEY: as strong as the updates need, and no bar to members' foreign keys.
        query = select(CLASS).where(self._is(class_id)).with_for_update(key_share=True)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise MusterError(Reason.NOT_FOUND)
        return class_of(row)

    async def add(self, school_class: SchoolClass) -> None:
        """Store a new class."""
        statement = (
            insert(CLASS)
            .values(
                organization_id=school_class.organization_id,
                class_id=school_class.class_id,
                create_time=school_class.create_time,
                student_count=school_class.student_count,
                revision=school_class.revision,
                **class_values(school_class),
            )
            .on_conflict_do_nothing()
            .returning(CLASS.c.class_id)
        )
        if (await self._connection.execute(statement)).one_or_none() is None:
            raise MusterError(Reason.ALREADY_EXISTS, detail="a class of this id")

    async def save(self, school_class: SchoolClass) -> SchoolClass:
        """Store all but the count of students, with the next revision."""
        statement = (
            update(CLASS)
            .where(self._is(school_class.class_id))
            .values(revision=CLASS.c.revision + 1, **class_values(school_class))
            .returning(CLASS)
        )
        return class_of((await self._connection.execute(statement)).one())

    async def put_members(
        self, class_id: str, members: Sequence[NewMember]
    ) -> tuple[Sequence[ClassMember], int]:
        """Store members, and count them."""
        values = {
            "organization_id": self.organization_id,
            "class_id": class_id,
            "now": self.now,
            "students": sum(member.role is MemberRole.STUDENT for member in members),
            "user_ids": [member.user_id for member in members],
            "display_names": [member.display_name for member in members],
            "sort_names": [member.sort_name for member in members],
            "roles": [member.role.value for member in members],
        }
        rows = (await self._connection.execute(_PUT, values)).all()
        create_times = {row.user_id: row.create_time for row in rows}
        stored = [
            ClassMember(
                class_id=class_id,
                user_id=member.user_id,
                display_name=member.display_name,
                sort_name=member.sort_name,
                role=member.role,
                create_time=create_times[member.user_id],
            )
            for member in members
        ]
        return stored, rows[0].student_count

    async def remove_members(self, class_id: str, user_ids: Sequence[str]) -> tuple[int, int]:
        """Remove members, and count who is left."""
        values = {
            "organization_id": self.organization_id,
            "class_id": class_id,
            "user_ids": list(user_ids),
        }
        row = (await self._connection.execute(_REMOVE, values)).one()
        return row.members, row.student_count

    async def statuses(self, class_ids: Sequence[str]) -> Mapping[str, ClassStatus]:
        """Return where classes stand, and hold them there."""
        query = (
            select(CLASS.c.class_id, CLASS.c.status)
            .where(CLASS.c.organization_id == self.organization_id, CLASS.c.class_id.in_(class_ids))
            .with_for_update(read=True)
        )
        rows = await self._connection.execute(query)
        return {row.class_id: ClassStatus(row.status) for row in rows}

    def _is(self, class_id: str) -> ColumnElement[bool]:
        return and_(CLASS.c.organization_id == self.organization_id, CLASS.c.class_id == class_id)
