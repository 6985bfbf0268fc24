"""Sessions, rounds, answers and standings."""

from pathlib import Path

from alembic import op
from muster_kit.db.migrate import create_request_table, row_level_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"

# Rows that every answer updates leave room on their pages: with a free place on the same page, and no
# indexed column changed, PostgreSQL touches no index (HOT updates). What the functions write has no
# foreign keys: each would lock its round or session anew for every answer; they check it themselves.
_TABLES = {
    "session": """
        CREATE TABLE scoring.session (
            session_id text PRIMARY KEY,
            organization_id text NOT NULL,
            host_user_id text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            seq bigint NOT NULL DEFAULT 0,
            opened_count integer NOT NULL DEFAULT 0,
            round_count integer NOT NULL DEFAULT 0,
            participant_count integer NOT NULL DEFAULT 0,
            response_count bigint NOT NULL DEFAULT 0,
            correct_count bigint NOT NULL DEFAULT 0,
            partial_count bigint NOT NULL DEFAULT 0,
            incorrect_count bigint NOT NULL DEFAULT 0,
            score_total bigint NOT NULL DEFAULT 0,
            duration_ms bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 10)
    """,
    "round": """
        CREATE TABLE scoring.round (
            round_id text PRIMARY KEY,
            session_id text NOT NULL REFERENCES scoring.session,
            organization_id text NOT NULL,
            block_id text NOT NULL,
            ordinal integer NOT NULL,
            status smallint NOT NULL,
            revision integer NOT NULL DEFAULT 1,
            graded boolean NOT NULL,
            withheld boolean NOT NULL,
            open_time timestamptz NOT NULL,
            close_time timestamptz,
            time_limit interval,
            time_left interval,
            pause_time timestamptz,
            paused interval NOT NULL DEFAULT interval '0',
            answer_key bytea NOT NULL,
            rules bytea NOT NULL,
            streak_step integer NOT NULL,
            streak_maximum bigint NOT NULL,
            change_seq bigint NOT NULL,
            close_seq bigint,
            response_count bigint NOT NULL DEFAULT 0,
            correct_count bigint NOT NULL DEFAULT 0,
            partial_count bigint NOT NULL DEFAULT 0,
            incorrect_count bigint NOT NULL DEFAULT 0,
            score_total bigint NOT NULL DEFAULT 0,
            duration_ms bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 40)
    """,
    "round_answer_count": """
        CREATE TABLE scoring.round_answer_count (
            round_id text NOT NULL,
            answer text NOT NULL,
            organization_id text NOT NULL,
            count bigint NOT NULL,
            PRIMARY KEY (round_id, answer)
        ) WITH (fillfactor = 40)
    """,
    "participant": """
        CREATE TABLE scoring.participant (
            session_id text NOT NULL,
            participant_id text NOT NULL,
            organization_id text NOT NULL,
            display_name text NOT NULL DEFAULT '',
            minimum_generation bigint NOT NULL DEFAULT 0,
            hidden boolean NOT NULL DEFAULT false,
            version bigint NOT NULL DEFAULT 0,
            reached_seq bigint NOT NULL DEFAULT 0,
            score bigint NOT NULL DEFAULT 0,
            duration_ms bigint NOT NULL DEFAULT 0,
            response_count bigint NOT NULL DEFAULT 0,
            correct_count bigint NOT NULL DEFAULT 0,
            partial_count bigint NOT NULL DEFAULT 0,
            incorrect_count bigint NOT NULL DEFAULT 0,
            streak bigint NOT NULL DEFAULT 0,
            best_streak bigint NOT NULL DEFAULT 0,
            held_score bigint NOT NULL DEFAULT 0,
            held_duration_ms bigint NOT NULL DEFAULT 0,
            held_count bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (session_id, participant_id)
        ) WITH (fillfactor = 60)
    """,
    "response": """
        CREATE TABLE scoring.response (
            round_id text NOT NULL,
            participant_id text NOT NULL,
            session_id text NOT NULL,
            organization_id text NOT NULL,
            seq bigint NOT NULL,
            request_id text NOT NULL,
            display_name text NOT NULL,
            answer bytea NOT NULL,
            status smallint NOT NULL,
            score bigint NOT NULL,
            base bigint NOT NULL,
            speed bigint NOT NULL,
            streak bigint NOT NULL,
            penalty bigint NOT NULL,
            credit double precision NOT NULL,
            rule_version smallint NOT NULL,
            duration_ms bigint NOT NULL,
            submit_time timestamptz NOT NULL,
            from_draft boolean NOT NULL,
            total_score bigint NOT NULL,
            PRIMARY KEY (round_id, participant_id)
        )
    """,
    "draft": """
        CREATE TABLE scoring.draft (
            round_id text NOT NULL,
            participant_id text NOT NULL,
            session_id text NOT NULL,
            organization_id text NOT NULL,
            generation bigint NOT NULL,
            display_name text NOT NULL,
            answer bytea NOT NULL,
            save_time timestamptz NOT NULL,
            request_ids text[] NOT NULL,
            fingerprints bytea[] NOT NULL,
            save_times timestamptz[] NOT NULL,
            PRIMARY KEY (round_id, participant_id)
        ) WITH (fillfactor = 60)
    """,
}

# What the functions take, many at once.
_TYPES = (
    """
    CREATE TYPE scoring.entry AS (
        session_id text,
        round_id text,
        revision integer,
        participant_id text,
        generation bigint,
        display_name text,
        request_id text,
        answer bytea,
        status smallint,
        base bigint,
        speed bigint,
        penalty bigint,
        credit double precision,
        duration_ms bigint,
        submit_time timestamptz,
        tokens text
    )
    """,
    """
    CREATE TYPE scoring.draft_entry AS (
        session_id text,
        round_id text,
        revision integer,
        participant_id text,
        generation bigint,
        display_name text,
        request_id text,
        fingerprint bytea,
        answer bytea,
        save_time timestamptz
    )
    """,
)

_INDEXES = (
    "CREATE INDEX round_session ON scoring.round (session_id, ordinal)",
    # Pages of answers go by it, and it holds the promise that no two answers share a number.
    "CREATE UNIQUE INDEX response_seq ON scoring.response (session_id, seq)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_TYPES, *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "scoring", table, writer=True)
    create_request_table(op, "scoring")
    op.execute((_FUNCTIONS / "save_drafts_v1.sql").read_text(encoding="utf-8"))
