"""Sessions, their codes, seats and blocks, the moves under way, and wrong guesses."""

from alembic import op
from muster_kit.db.migrate import create_room_tables, row_level_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Rows whose counters change all the time leave room on their pages, so that no index is touched.
_TABLES = {
    "session": """
        CREATE TABLE session.session (
            session_id text PRIMARY KEY,
            organization_id text NOT NULL,
            host_user_id text NOT NULL,
            status text NOT NULL CHECK (
                status IN ('draft', 'scheduled', 'waiting', 'active', 'paused', 'ended', 'cancelled')
            ),
            title text NOT NULL,
            description text NOT NULL,
            visibility text NOT NULL CHECK (visibility IN ('public', 'unlisted', 'private')),
            max_participants integer NOT NULL,
            late_join_allowed boolean NOT NULL,
            parallel_blocks_allowed boolean NOT NULL,
            default_time_limit interval,
            rules bytea,
            answers_hidden boolean NOT NULL,
            chat_enabled boolean NOT NULL,
            reactions_enabled boolean NOT NULL,
            course_id text NOT NULL,
            class_ids text[] NOT NULL,
            test_id text NOT NULL,
            join_code text NOT NULL,
            key_hash text NOT NULL,
            participant_count integer NOT NULL DEFAULT 0 CHECK (participant_count >= 0),
            seat_count integer NOT NULL DEFAULT 0 CHECK (seat_count >= participant_count),
            block_count integer NOT NULL DEFAULT 0 CHECK (block_count >= 0),
            active_block_id text NOT NULL DEFAULT '',
            scheduled_time timestamptz,
            start_time timestamptz,
            end_time timestamptz,
            create_time timestamptz NOT NULL,
            revision bigint NOT NULL
        ) WITH (fillfactor = 50)
    """,
    # Apart from the session, so that a code can be claimed in one statement that cannot fail, and
    # the codes of all organizations be counted without seeing their sessions.
    "join_code": """
        CREATE TABLE session.join_code (
            join_code text PRIMARY KEY,
            session_id text NOT NULL UNIQUE REFERENCES session.session ON DELETE CASCADE,
            organization_id text NOT NULL
        )
    """,
    "status_change": """
        CREATE TABLE session.status_change (
            session_id text NOT NULL REFERENCES session.session ON DELETE CASCADE,
            ordinal integer NOT NULL,
            organization_id text NOT NULL,
            old_status text,
            new_status text NOT NULL,
            reason text NOT NULL,
            changed_by_user_id text NOT NULL,
            change_time timestamptz NOT NULL,
            PRIMARY KEY (session_id, ordinal)
        )
    """,
    "participant": """
        CREATE TABLE session.participant (
            participant_id text PRIMARY KEY,
            session_id text NOT NULL REFERENCES session.session ON DELETE CASCADE,
            organization_id text NOT NULL,
            user_id text NOT NULL,
            display_name text NOT NULL,
            role text NOT NULL CHECK (role IN ('cohost', 'participant', 'spectator')),
            status text NOT NULL CHECK (status IN ('joined', 'left', 'kicked', 'banned')),
            generation integer NOT NULL,
            join_time timestamptz NOT NULL,
            leave_time timestamptz,
            change_reason text NOT NULL DEFAULT '',
            changed_by_user_id text NOT NULL DEFAULT '',
            UNIQUE (session_id, user_id)
        ) WITH (fillfactor = 70)
    """,
    # The check of the places waits for the end of each statement: blocks change places at once.
    "block": """
        CREATE TABLE session.block (
            block_id text PRIMARY KEY,
            session_id text NOT NULL REFERENCES session.session ON DELETE CASCADE,
            organization_id text NOT NULL,
            position integer NOT NULL CHECK (position > 0),
            status text NOT NULL CHECK (status IN ('pending', 'active', 'closed', 'skipped')),
            content bytea NOT NULL,
            answer_key bytea NOT NULL,
            time_limit interval,
            rules bytea,
            round_id text NOT NULL DEFAULT '',
            open_time timestamptz,
            close_time timestamptz,
            time_left interval,
            revision bigint NOT NULL DEFAULT 1,
            UNIQUE (session_id, position) DEFERRABLE INITIALLY IMMEDIATE
        )
    """,
    "transition": """
        CREATE TABLE session.transition (
            transition_id text PRIMARY KEY,
            session_id text NOT NULL REFERENCES session.session ON DELETE CASCADE,
            organization_id text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('activate', 'close', 'skip', 'pause', 'resume', 'end')),
            begin_time timestamptz NOT NULL,
            block_id text NOT NULL,
            round_id text NOT NULL,
            time_limit interval,
            by_deadline boolean NOT NULL,
            reason text NOT NULL,
            changed_by_user_id text NOT NULL,
            outcome bytea,
            failure text NOT NULL
        )
    """,
    "wrong_guess": """
        CREATE TABLE session.wrong_guess (
            organization_id text NOT NULL,
            subject text NOT NULL,
            window_start timestamptz NOT NULL,
            failures integer NOT NULL,
            PRIMARY KEY (organization_id, subject)
        ) WITH (fillfactor = 50)
    """,
}

_LIVE = "status IN ('waiting', 'active', 'paused')"

_INDEXES = (
    # Lists: all of an organization, those of a host, and what runs now of either.
    "CREATE INDEX session_newest ON session.session (organization_id, create_time DESC, session_id DESC)",
    """CREATE INDEX session_of_host
       ON session.session (organization_id, host_user_id, create_time DESC, session_id DESC)""",
    f"""CREATE INDEX session_live
        ON session.session (organization_id, create_time DESC, session_id DESC) WHERE {_LIVE}""",
    f"""CREATE INDEX session_live_of_host
        ON session.session (organization_id, host_user_id, create_time DESC, session_id DESC)
        WHERE {_LIVE}""",
    """CREATE INDEX session_of_course
       ON session.session (organization_id, course_id, create_time DESC) WHERE course_id <> ''""",
    "CREATE INDEX session_of_class ON session.session USING gin (class_ids) WHERE class_ids <> '{}'",
    "CREATE INDEX participant_joining ON session.participant (session_id, join_time, participant_id)",
    "CREATE INDEX participant_of_user ON session.participant (organization_id, user_id, session_id)",
    "CREATE INDEX block_active ON session.block (session_id) WHERE status = 'active'",
    """CREATE INDEX transition_open ON session.transition (session_id)
       WHERE outcome IS NULL AND failure = ''""",
    "CREATE INDEX transition_of_session ON session.transition (session_id)",
    "CREATE INDEX wrong_guess_window ON session.wrong_guess (window_start)",
)

# The timers' role counts codes and sweeps guesses; it has no business in anything else.
_FOR_WRITER = frozenset({"join_code", "wrong_guess"})


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "session", table, writer=table in _FOR_WRITER)
    create_room_tables(op, "session")
