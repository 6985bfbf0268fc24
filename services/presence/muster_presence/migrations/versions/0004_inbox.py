"""What users are told, in rooms of their own: what of it still stands, and how old it is."""

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What waits for who connects, by inbox. Without a payload it is over, and only keeps older news of it from
# coming back.
_ITEM = """
    CREATE TABLE presence.inbox_item (
        organization_id text NOT NULL,
        room_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('start', 'invitation', 'friend_request')),
        item_key text NOT NULL,
        payload bytea,
        order_time timestamptz NOT NULL,
        expire_time timestamptz NOT NULL,
        PRIMARY KEY (room_id, kind, item_key)
    )
"""

# Events come in order of time: a block range index serves their sweep at no cost a row.
_INDEXES = (
    "CREATE INDEX inbox_item_expire_time ON presence.inbox_item (expire_time)",
    "CREATE INDEX room_event_create_time ON presence.room_event USING brin (create_time)",
)


def upgrade() -> None:
    """Create everything."""
    op.execute(_ITEM)
    for index in _INDEXES:
        op.execute(index)
    row_level_security(op, "presence", "inbox_item", writer=True)
