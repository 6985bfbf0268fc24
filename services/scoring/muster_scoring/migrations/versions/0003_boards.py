"""Boards that services make, their entries, and the function that scores are written with."""

from pathlib import Path

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"

# A board that begins anew leaves its entries where they are: those of its present floor count, and the
# others are swept. A deleted board is kept for a while, so that one of the same id goes on counting changes
# where it stopped, and no process takes the one for the other. Ids compare as bytes, everywhere.
_TABLES = {
    "board": """
        CREATE TABLE scoring.board (
            board_id text COLLATE "C" PRIMARY KEY,
            organization_id text NOT NULL,
            title text NOT NULL,
            operator smallint NOT NULL,
            ascending boolean NOT NULL,
            reset_schedule smallint NOT NULL,
            open_time timestamptz,
            close_time timestamptz,
            team_board_id text COLLATE "C" NOT NULL,
            create_time timestamptz NOT NULL,
            delete_time timestamptz,
            season bigint NOT NULL,
            season_end timestamptz,
            seq bigint NOT NULL,
            floor_seq bigint NOT NULL
        ) WITH (fillfactor = 10)
    """,
    "board_entry": """
        CREATE TABLE scoring.board_entry (
            board_id text COLLATE "C" NOT NULL,
            floor_seq bigint NOT NULL,
            entry_id text COLLATE "C" NOT NULL,
            organization_id text NOT NULL,
            display_name text NOT NULL,
            version bigint NOT NULL,
            reached_seq bigint NOT NULL,
            score bigint NOT NULL,
            duration_ms bigint NOT NULL,
            submission_count bigint NOT NULL,
            removed boolean NOT NULL DEFAULT false,
            PRIMARY KEY (board_id, floor_seq, entry_id)
        ) WITH (fillfactor = 60)
    """,
    "score_request": """
        CREATE TABLE scoring.score_request (
            board_id text COLLATE "C" NOT NULL,
            request_key text COLLATE "C" NOT NULL,
            organization_id text NOT NULL,
            fingerprint bytea NOT NULL,
            changed boolean NOT NULL,
            display_name text NOT NULL,
            score bigint NOT NULL,
            duration_ms bigint NOT NULL,
            submission_count bigint NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (board_id, request_key)
        )
    """,
    "score_batch": """
        CREATE TABLE scoring.score_batch (
            board_id text COLLATE "C" NOT NULL,
            request_key text COLLATE "C" NOT NULL,
            organization_id text NOT NULL,
            fingerprint bytea NOT NULL,
            results scoring.score_result[],
            create_time timestamptz NOT NULL,
            PRIMARY KEY (board_id, request_key)
        )
    """,
}

_TYPE = """
    CREATE TYPE scoring.score_result AS (
        changed boolean,
        display_name text,
        score bigint,
        duration_ms bigint,
        submission_count bigint
    )
"""

_INDEXES = (
    # What is old enough is swept in the order in which it came.
    "CREATE INDEX score_request_create_time ON scoring.score_request USING brin (create_time)",
    "CREATE INDEX score_batch_create_time ON scoring.score_batch USING brin (create_time)",
    "CREATE INDEX board_delete_time ON scoring.board (delete_time) WHERE delete_time IS NOT NULL",
)

# All schedules turn at midnight in UTC; a week begins on Monday.
_SEASONS = (
    """
    CREATE FUNCTION scoring.season_begin(in_schedule smallint, in_at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT date_trunc((ARRAY['day', 'week', 'month'])[in_schedule], in_at AT TIME ZONE 'UTC')
            AT TIME ZONE 'UTC'
    $$
    """,
    """
    CREATE FUNCTION scoring.season_end(in_schedule smallint, in_at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT (
            scoring.season_begin(in_schedule, in_at) AT TIME ZONE 'UTC'
                + (ARRAY['1 day', '1 week', '1 month']::interval[])[in_schedule]
        ) AT TIME ZONE 'UTC'
    $$
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in (_TYPE, *_TABLES.values(), *_INDEXES, *_SEASONS):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "scoring", table, writer=True)
    for name in ("turn_seasons_v1", "submit_scores_v1"):
        op.execute((_FUNCTIONS / f"{name}.sql").read_text(encoding="utf-8"))
