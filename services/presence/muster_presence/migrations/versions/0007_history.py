"""History since a time is found by when people left."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create an index over the ends of intervals; an update that sets one is in another index anyway."""
    op.execute(
        "CREATE INDEX presence_interval_ended ON presence.presence_interval (organization_id, leave_time)"
    )
