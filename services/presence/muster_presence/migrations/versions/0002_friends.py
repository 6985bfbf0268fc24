"""Friends, and whom a user has blocked."""

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# One row for two people, whoever asked: the smaller id comes first. Blocks are apart, since each of them
# is the business of one alone. Ids and sort names are compared by their bytes, wherever this runs.
_TABLES = {
    "friendship": """
        CREATE TABLE presence.friendship (
            organization_id text NOT NULL,
            first_user_id text COLLATE "C" NOT NULL,
            second_user_id text COLLATE "C" NOT NULL,
            bond text NOT NULL CHECK (bond IN ('pending', 'friends', 'declined')),
            requester_id text COLLATE "C" NOT NULL CHECK (requester_id IN (first_user_id, second_user_id)),
            note text NOT NULL,
            change_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, first_user_id, second_user_id),
            CHECK (first_user_id < second_user_id)
        )
    """,
    "friend_block": """
        CREATE TABLE presence.friend_block (
            organization_id text NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            blocked_user_id text COLLATE "C" NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (organization_id, user_id, blocked_user_id)
        )
    """,
    "friend_name": """
        CREATE TABLE presence.friend_name (
            organization_id text NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            display_name text NOT NULL,
            sort_name text COLLATE "C" NOT NULL,
            PRIMARY KEY (organization_id, user_id)
        )
    """,
    "friend_rate": """
        CREATE TABLE presence.friend_rate (
            organization_id text NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            subject text COLLATE "C" NOT NULL,
            window_start timestamptz NOT NULL,
            used integer NOT NULL,
            PRIMARY KEY (organization_id, user_id, subject)
        ) WITH (fillfactor = 70)
    """,
}

_SWEPT = frozenset({"friendship", "friend_rate"})
"""In these, rows that have had their time go for all organizations at once."""

_INDEXES = (
    """CREATE INDEX friendship_of_second
       ON presence.friendship (organization_id, second_user_id, first_user_id)""",
    "CREATE INDEX friendship_declined ON presence.friendship (change_time) WHERE bond = 'declined'",
    "CREATE INDEX friend_block_of_blocked ON presence.friend_block (organization_id, blocked_user_id)",
    "CREATE INDEX friend_rate_window ON presence.friend_rate USING brin (window_start)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*_TABLES.values(), *_INDEXES):
        op.execute(statement)
    for table in _TABLES:
        row_level_security(op, "presence", table, writer=table in _SWEPT)
