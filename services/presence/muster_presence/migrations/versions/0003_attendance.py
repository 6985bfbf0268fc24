"""Attendance: what was reported of sessions, rules, rosters, marks, records and their history; channels."""

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Names of people are compared as the code made them comparable: by their bytes, wherever this runs.
_TABLES = {
    "attended": """
        CREATE TABLE presence.attended (
            organization_id text NOT NULL,
            kind smallint NOT NULL,
            scope_id text NOT NULL,
            phase smallint NOT NULL,
            title text NOT NULL,
            host_user_id text NOT NULL,
            class_ids text[] NOT NULL,
            teacher_user_ids text[] NOT NULL,
            span_starts timestamptz[] NOT NULL,
            span_ends timestamptz[] NOT NULL,
            start_time timestamptz,
            settle_time timestamptz,
            revision bigint NOT NULL,
            PRIMARY KEY (organization_id, kind, scope_id)
        ) WITH (fillfactor = 70)
    """,
    # A row each time the rule is set, so that it is known which one held when; no shares: the deployment's.
    "attendance_rule": """
        CREATE TABLE presence.attendance_rule (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            revision bigint NOT NULL,
            present_share double precision,
            absent_share double precision,
            late_after interval,
            left_early_before interval,
            gap_tolerance interval,
            set_by_user_id text NOT NULL,
            set_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, session_id, revision)
        )
    """,
    "attendance_student": """
        CREATE TABLE presence.attendance_student (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            user_id text NOT NULL,
            display_name text NOT NULL,
            class_ids text[] NOT NULL,
            add_time timestamptz NOT NULL,
            remove_time timestamptz,
            PRIMARY KEY (organization_id, session_id, user_id)
        )
    """,
    "attendance_mark": """
        CREATE TABLE presence.attendance_mark (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            ordinal bigint NOT NULL,
            user_id text NOT NULL,
            status smallint NOT NULL,
            reason text NOT NULL,
            marked_by_user_id text NOT NULL,
            mark_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, session_id, ordinal)
        )
    """,
    "attendance_change": """
        CREATE TABLE presence.attendance_change (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            seq bigint NOT NULL,
            user_id text NOT NULL,
            display_name text NOT NULL,
            old_status smallint NOT NULL,
            new_status smallint NOT NULL,
            cause smallint NOT NULL,
            reason text NOT NULL,
            changed_by_user_id text NOT NULL,
            change_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, session_id, seq)
        )
    """,
    "attendance_record": """
        CREATE TABLE presence.attendance_record (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            user_id text NOT NULL,
            display_name text NOT NULL,
            sort_name text COLLATE "C" NOT NULL,
            in_roster boolean NOT NULL,
            class_ids text[] NOT NULL,
            status smallint NOT NULL,
            computed_status smallint NOT NULL,
            mark_status smallint,
            mark_reason text,
            marked_by_user_id text,
            mark_time timestamptz,
            present interval NOT NULL,
            active interval NOT NULL,
            gap_count integer NOT NULL,
            first_seen timestamptz,
            last_seen timestamptz,
            came_after interval NOT NULL,
            left_before interval NOT NULL,
            explanation text NOT NULL,
            settled boolean NOT NULL,
            session_start_time timestamptz,
            update_time timestamptz NOT NULL,
            revision bigint NOT NULL,
            PRIMARY KEY (organization_id, session_id, user_id)
        ) WITH (fillfactor = 70)
    """,
    "attendance_point": """
        CREATE TABLE presence.attendance_point (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            record_time timestamptz NOT NULL,
            student_count integer NOT NULL,
            present_count integer NOT NULL,
            connection_count integer NOT NULL,
            statuses smallint[] NOT NULL,
            counts integer[] NOT NULL,
            PRIMARY KEY (organization_id, session_id, record_time)
        )
    """,
    "channel": """
        CREATE TABLE presence.channel (
            organization_id text NOT NULL,
            session_id text NOT NULL,
            name text COLLATE "C" NOT NULL,
            configuration bytea NOT NULL,
            hidden_from_students boolean NOT NULL,
            create_time timestamptz NOT NULL,
            revision bigint NOT NULL,
            PRIMARY KEY (organization_id, session_id, name)
        )
    """,
}

_INDEXES = (
    """CREATE INDEX attendance_record_of_user
       ON presence.attendance_record (organization_id, user_id, session_start_time DESC, session_id DESC)
       WHERE session_start_time IS NOT NULL""",
    """CREATE INDEX attendance_record_of_class ON presence.attendance_record USING gin (class_ids)
       WHERE class_ids <> '{}'""",
    """CREATE INDEX attendance_mark_of_user
       ON presence.attendance_mark (organization_id, session_id, user_id, ordinal DESC)""",
    """CREATE INDEX attendance_change_of_user
       ON presence.attendance_change (organization_id, session_id, user_id, seq)""",
    "CREATE INDEX attendance_student_user ON presence.attendance_student (organization_id, user_id)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "presence", table)
