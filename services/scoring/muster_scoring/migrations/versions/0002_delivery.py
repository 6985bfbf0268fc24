"""How an answer's time came about: the delay of the question's delivery, and the credit for the network."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CHANGES = (
    """
    ALTER TABLE scoring.response
        ADD COLUMN delivery_delay_ms bigint NOT NULL DEFAULT 0,
        ADD COLUMN network_credit_ms bigint NOT NULL DEFAULT 0
    """,
    """
    ALTER TYPE scoring.entry
        ADD ATTRIBUTE delivery_delay_ms bigint,
        ADD ATTRIBUTE network_credit_ms bigint
    """,
)


def upgrade() -> None:
    """Keep both with every answer."""
    for statement in _CHANGES:
        op.execute(statement)
