"""Intervals that went on over a loss of the index: what facts about their later parts are about."""

from alembic import op
from muster_kit.db.migrate import row_level_security

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The index says since `told_enter_time`, as it has lost what was before: they are here since `enter_time`.
_PART = """
    CREATE TABLE presence.interval_part (
        organization_id text NOT NULL,
        scope_kind smallint NOT NULL,
        scope_id text NOT NULL,
        user_id text NOT NULL,
        told_enter_time timestamptz NOT NULL,
        enter_time timestamptz NOT NULL CHECK (enter_time < told_enter_time),
        PRIMARY KEY (organization_id, user_id, scope_kind, scope_id, told_enter_time)
    )
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_PART)
    row_level_security(op, "presence", "interval_part", writer=True)
