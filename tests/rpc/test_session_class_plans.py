"""Lists of classes and of people go over an index, however many there are of other organizations."""

from typing import Any

import pytest
from muster_kit.db import Database
from muster_session.model_classes import MemberRole
from muster_session.store_classes import ClassFilter
from muster_session.store_postgres_class_directory import PostgresClassDirectory
from sqlalchemy import event, text

from tests.rpc.house import House

BEHIND = ("title 000500", "class-500")

LISTS: dict[str, tuple[str, Any]] = {
    "by title": (
        "class_by_title",
        lambda directory: directory.list_classes("org-1", ClassFilter(), after=BEHIND, limit=51),
    ),
    "of a teacher": (
        "class_of_teacher",
        lambda directory: directory.list_classes(
            "org-1", ClassFilter(teacher_user_id="tess-1"), after=None, limit=51
        ),
    ),
    "in sight of a member": (
        "class_member_of_user",
        lambda directory: directory.list_classes(
            "org-1", ClassFilter(visible_to="user-101"), after=None, limit=51
        ),
    ),
    "of a course": (
        "class_of_course",
        lambda directory: directory.list_classes(
            "org-1", ClassFilter(course_id="course-1"), after=None, limit=51
        ),
    ),
    "of a student": (
        "class_member_of_user",
        lambda directory: directory.list_classes(
            "org-1", ClassFilter(student_user_id="user-101"), after=None, limit=51
        ),
    ),
    "members": (
        "class_member_by_name",
        lambda directory: directory.list_members(
            "org-1", "class-1", MemberRole.STUDENT, after=("name 1", "user-1"), limit=51
        ),
    ),
    "a roster": (
        "class_member",
        lambda directory: directory.list_roster("org-1", ["class-1", "class-101"], [], after=None, limit=51),
    ),
}


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_goes_over_an_index(house: House, what: str) -> None:
    index, read = LISTS[what]
    plan = await _plan(house, read)
    assert index in plan
    assert "Seq Scan" not in plan


async def _plan(house: House, read: Any) -> str:
    """Return how the first query of a look-up is carried out over 20,000 classes of 100 organizations."""
    admin = Database.open(house.urls.admin_url, pool_size=1)
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "FROM session.class" in statement:
            statements.append((statement, parameters))

    event.listen(admin._engine.sync_engine, "before_cursor_execute", note)
    try:
        await read(PostgresClassDirectory(admin))
        statement, parameters = statements[0]
        async with admin.connection() as connection:
            for made in (_CLASSES, _MEMBERS, "ANALYZE session.class", "ANALYZE session.class_member"):
                await connection.execute(text(made))
            rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(row[0] for row in rows)
            await connection.rollback()
            return plan
    finally:
        await admin.close()


_CLASSES = """
INSERT INTO session.class SELECT
    'org-' || n % 100, 'class-' || n, 'tess-' || n % 3000, '', 'title ' || lpad(n::text, 6, '0'), '',
    CASE n % 50 WHEN 1 THEN 'course-' || n % 700 ELSE '' END, 'active', 0, now(), NULL, 1
FROM generate_series(1, 20000) AS n
"""

_MEMBERS = """
INSERT INTO session.class_member SELECT
    'org-' || n % 100, 'class-' || n, 'user-' || n % 5000 + m, '', 'name ' || m, 'student', now()
FROM generate_series(1, 20000) AS n, generate_series(1, 5) AS m
"""
