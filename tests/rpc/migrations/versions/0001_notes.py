"""A service with rooms in which people write notes."""

import sqlalchemy as sa
from alembic import op
from muster_kit.db.migrate import create_room_tables, row_level_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the rooms and their notes."""
    create_room_tables(op, "notes")
    op.create_table(
        "note",
        sa.Column("note_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("room_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("room_id", "text"),
        schema="notes",
    )
    row_level_security(op, "notes", "note")
