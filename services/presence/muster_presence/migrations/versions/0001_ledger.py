"""Intervals of presence, which attendance is computed from; and the tables behind rooms, for all of it."""

from alembic import op
from muster_kit.db.migrate import create_room_tables, row_level_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Intervals are written twice at least, when they begin and when they end, and in between whenever their
# person does something: there is room for it on the page, and no index over what changes then.
_TABLES = {
    # `told_order` is the place of what the row says among all that was told of its scope. What is
    # `is_assumed` nobody has told: the person was not found any more.
    "presence_interval": """
        CREATE TABLE presence.presence_interval (
            organization_id text NOT NULL,
            scope_kind smallint NOT NULL,
            scope_id text NOT NULL,
            user_id text NOT NULL,
            enter_time timestamptz NOT NULL,
            interval_id bigint GENERATED ALWAYS AS IDENTITY,
            leave_time timestamptz CHECK (leave_time >= enter_time),
            cause smallint CHECK (cause BETWEEN 1 AND 4),
            role smallint NOT NULL CHECK (role BETWEEN 1 AND 3),
            display_name text NOT NULL,
            participant_id text NOT NULL,
            last_activity_time timestamptz,
            told_order bigint NOT NULL,
            is_assumed boolean NOT NULL DEFAULT false,
            seen_time timestamptz,
            missing_time timestamptz,
            CHECK ((leave_time IS NULL) = (cause IS NULL)),
            PRIMARY KEY (organization_id, scope_kind, scope_id, user_id, enter_time)
        ) WITH (fillfactor = 50)
    """,
    # Scopes that may have open intervals, and when each was last held against the index. It need not be
    # done again while the index is at `check_order` and nothing was told since.
    "ledger_scope": """
        CREATE TABLE presence.ledger_scope (
            organization_id text NOT NULL,
            scope_kind smallint NOT NULL,
            scope_id text NOT NULL,
            touch_time timestamptz NOT NULL,
            claim_time timestamptz NOT NULL,
            next_claim_time timestamptz NOT NULL,
            check_time timestamptz,
            check_order bigint,
            PRIMARY KEY (organization_id, scope_kind, scope_id)
        ) WITH (fillfactor = 50)
    """,
    # What was on its way when somebody was erased must not come back, nor what others still say of them.
    "erased_user": """
        CREATE TABLE presence.erased_user (
            organization_id text NOT NULL,
            user_id text NOT NULL,
            erase_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, user_id)
        )
    """,
}

_INDEXES = (
    """CREATE INDEX presence_interval_newest ON presence.presence_interval
       (organization_id, enter_time DESC, interval_id DESC)""",
    """CREATE INDEX presence_interval_of_scope ON presence.presence_interval
       (organization_id, scope_kind, scope_id, enter_time DESC, interval_id DESC)""",
    """CREATE INDEX presence_interval_of_user ON presence.presence_interval
       (organization_id, user_id, enter_time DESC, interval_id DESC)""",
    """CREATE INDEX presence_interval_open ON presence.presence_interval
       (organization_id, scope_kind, scope_id, user_id, enter_time) WHERE leave_time IS NULL""",
    "CREATE INDEX ledger_scope_next ON presence.ledger_scope (next_claim_time)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "presence", table, writer=True)
    create_room_tables(op, "presence")
