"""Classes and who is in them."""

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What lists go by was made comparable by the code: its bytes are compared, wherever this runs. The
# count of students changes with the roster: there is room for it on the page.
_TABLES = {
    "class": """
        CREATE TABLE session.class (
            organization_id text NOT NULL,
            class_id text NOT NULL,
            teacher_user_id text NOT NULL,
            title text NOT NULL,
            sort_title text COLLATE "C" NOT NULL,
            description text NOT NULL,
            course_id text NOT NULL,
            status text NOT NULL CHECK (status IN ('active', 'archived')),
            student_count integer NOT NULL CHECK (student_count >= 0),
            create_time timestamptz NOT NULL,
            archive_time timestamptz CHECK ((archive_time IS NOT NULL) = (status = 'archived')),
            revision bigint NOT NULL,
            PRIMARY KEY (organization_id, class_id)
        ) WITH (fillfactor = 70)
    """,
    "class_member": """
        CREATE TABLE session.class_member (
            organization_id text NOT NULL,
            class_id text NOT NULL,
            user_id text NOT NULL,
            display_name text NOT NULL,
            sort_name text COLLATE "C" NOT NULL,
            role text NOT NULL CHECK (role IN ('student', 'teacher')),
            create_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, class_id, user_id),
            FOREIGN KEY (organization_id, class_id) REFERENCES session.class ON DELETE CASCADE
        )
    """,
}

_INDEXES = (
    "CREATE INDEX class_by_title ON session.class (organization_id, status, sort_title, class_id)",
    "CREATE INDEX class_of_teacher ON session.class (organization_id, teacher_user_id)",
    "CREATE INDEX class_of_course ON session.class (organization_id, course_id) WHERE course_id <> ''",
    """CREATE INDEX class_member_by_name
       ON session.class_member (organization_id, class_id, sort_name, user_id)""",
    "CREATE INDEX class_member_of_user ON session.class_member (organization_id, user_id, class_id)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "session", table)
