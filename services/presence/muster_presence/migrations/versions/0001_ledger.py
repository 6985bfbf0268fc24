"""Intervals of presence, which attendance is computed from; and the tables behind rooms, for all of it."""

from alembic import op
from muster_kit.db.migrate import create_room_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    create_room_tables(op, "presence")
