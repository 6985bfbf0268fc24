"""Rooms that have a log and nothing else."""

from alembic import op
from muster_kit.db.migrate import create_room_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of rooms."""
    create_room_tables(op, "live")
