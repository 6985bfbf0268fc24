"""Answers to a session that is locked need not wait among those to others."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"


def upgrade() -> None:
    """Let the caller say whether it waits for locks."""
    op.execute("DROP FUNCTION scoring.submit_responses(scoring.entry[], smallint, boolean)")
    op.execute((_FUNCTIONS / "submit_responses_v3.sql").read_text(encoding="utf-8"))
