"""Look-ups over classes and rosters in PostgreSQL, each in a short transaction of its own."""

from collections.abc import Sequence
from typing import Any

from muster_kit.db import Database
from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Select,
    String,
    and_,
    func,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from muster_session.model_classes import ClassMember, MemberRole, RosterEntry, SchoolClass
from muster_session.store_classes import ClassFilter, Place
from muster_session.store_rows import class_of, member_of, roster_entry_of
from muster_session.tables import CLASS, CLASS_MEMBER


class PostgresClassDirectory:
    """`ClassDirectory` over the app's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, organization_id: str, class_id: str, *, visible_to: str = "") -> SchoolClass | None:
        """Return a class, or None."""
        query = select(CLASS).where(
            CLASS.c.organization_id == organization_id,
            CLASS.c.class_id == class_id,
            _is_visible(organization_id, visible_to),
        )
        rows = await self._rows(organization_id, query)
        return class_of(rows[0]) if rows else None

    async def list_classes(
        self, organization_id: str, wanted: ClassFilter, *, after: Place | None, limit: int
    ) -> Sequence[SchoolClass]:
        """Return classes by title."""
        place = (CLASS.c.sort_title, CLASS.c.class_id)
        query = (
            select(CLASS)
            .where(CLASS.c.organization_id == organization_id, *_conditions(organization_id, wanted))
            .where(_is_behind(after, *place))
            .order_by(*place)
            .limit(limit)
        )
        return [class_of(row) for row in await self._rows(organization_id, query)]

    async def list_members(
        self,
        organization_id: str,
        class_id: str,
        role: MemberRole | None,
        *,
        after: Place | None,
        limit: int,
    ) -> Sequence[ClassMember]:
        """Return members by name."""
        member = CLASS_MEMBER.c
        place = (member.sort_name, member.user_id)
        query = (
            select(CLASS_MEMBER)
            .where(member.organization_id == organization_id, member.class_id == class_id)
            .where(true() if role is None else member.role == role.value)
            .where(_is_behind(after, *place))
            .order_by(*place)
            .limit(limit)
        )
        return [member_of(row) for row in await self._rows(organization_id, query)]

    async def list_roster(
        self,
        organization_id: str,
        class_ids: Sequence[str],
        user_ids: Sequence[str],
        *,
        after: Place | None,
        limit: int,
    ) -> tuple[Sequence[RosterEntry], int]:
        """Return students by name, and how many there are."""
        expected = _is_student_of(organization_id, class_ids)
        listed = _roster(expected, user_ids, after=after, limit=limit)
        people = select(CLASS_MEMBER.c.user_id).where(expected).distinct().subquery()
        counted = select(func.count()).select_from(people)
        async with self._database.transaction(organization_id) as transaction:
            rows = (await transaction.connection.execute(listed)).all()
            student_count = (await transaction.connection.execute(counted)).scalar_one()
        return [roster_entry_of(row) for row in rows], student_count

    async def _rows(self, organization_id: str, query: Executable) -> Sequence[Row[Any]]:
        async with self._database.transaction(organization_id) as transaction:
            return (await transaction.connection.execute(query)).all()


def _is_student_of(organization_id: str, class_ids: Sequence[str]) -> ColumnElement[bool]:
    member = CLASS_MEMBER.c
    return and_(
        member.organization_id == organization_id,
        member.class_id == func.any(literal(list(class_ids), ARRAY(String))),
        member.role == MemberRole.STUDENT.value,
    )


def _roster(
    expected: ColumnElement[bool], user_ids: Sequence[str], *, after: Place | None, limit: int
) -> Select[Any]:
    """Return a query for a page of students, with their names and classes in the order of the names."""
    member = CLASS_MEMBER.c
    first = func.min(member.sort_name)
    # The page first: names and classes are put together for those on it alone.
    page = (
        select(member.user_id, first.label("sort_name"))
        .where(expected, member.user_id.in_(user_ids) if user_ids else true())
        .group_by(member.user_id)
        .having(_is_behind(after, first, member.user_id))
        .order_by(first, member.user_id)
        .limit(limit)
        .subquery()
    )
    in_order = (member.sort_name, member.class_id)
    return (
        select(
            page.c.user_id,
            page.c.sort_name,
            func.array_agg(aggregate_order_by(member.display_name, *in_order)).label("display_names"),
            func.array_agg(aggregate_order_by(member.class_id, *in_order)).label("class_ids"),
        )
        .join(CLASS_MEMBER, member.user_id == page.c.user_id)
        .where(expected)
        .group_by(page.c.user_id, page.c.sort_name)
        .order_by(page.c.sort_name, page.c.user_id)
    )


def _conditions(organization_id: str, wanted: ClassFilter) -> list[ColumnElement[bool]]:
    conditions = [
        CLASS.c.status.in_(sorted(status.value for status in wanted.statuses)),
        _is_visible(organization_id, wanted.visible_to),
    ]
    if teacher := wanted.teacher_user_id:
        taught_too = _joined(organization_id, teacher, MemberRole.TEACHER)
        conditions.append(CLASS.c.class_id.in_(_taught(organization_id, teacher).union_all(taught_too)))
    if student := wanted.student_user_id:
        conditions.append(CLASS.c.class_id.in_(_joined(organization_id, student, MemberRole.STUDENT)))
    if wanted.course_id:
        conditions.append(CLASS.c.course_id == wanted.course_id)
    return conditions


def _is_visible(organization_id: str, user_id: str) -> ColumnElement[bool]:
    if not user_id:
        return true()
    # Ids put together rather than conditions: each half has an index of its own.
    theirs = _taught(organization_id, user_id).union_all(_joined(organization_id, user_id, *MemberRole))
    return CLASS.c.class_id.in_(theirs)


def _taught(organization_id: str, user_id: str) -> Select[tuple[str]]:
    taught = CLASS.alias("taught").c
    return select(taught.class_id).where(
        taught.organization_id == organization_id, taught.teacher_user_id == user_id
    )


def _joined(organization_id: str, user_id: str, *roles: MemberRole) -> Select[tuple[str]]:
    member = CLASS_MEMBER.c
    return select(member.class_id).where(
        member.organization_id == organization_id,
        member.user_id == user_id,
        member.role.in_([role.value for role in roles]),
    )


def _is_behind(
    after: Place | None, text: ColumnElement[str], row_id: ColumnElement[str]
) -> ColumnElement[bool]:
    return true() if after is None else tuple_(text, row_id) > tuple_(*after)
