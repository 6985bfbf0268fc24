"""Whoever comes into a roster again was not in it meanwhile; channels are known by their use as well."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let people be in a roster several times, and a channel have a last activity."""
    op.execute("""
        ALTER TABLE presence.attendance_student DROP CONSTRAINT attendance_student_pkey,
            ADD PRIMARY KEY (organization_id, session_id, user_id, add_time)
    """)
    op.execute("""
        CREATE UNIQUE INDEX attendance_student_now
        ON presence.attendance_student (organization_id, session_id, user_id) WHERE remove_time IS NULL
    """)
    op.execute("ALTER TABLE presence.channel ADD COLUMN last_activity_time timestamptz")
