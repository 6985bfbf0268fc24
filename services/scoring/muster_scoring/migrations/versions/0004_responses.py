"""The function that answers are written with, many at once."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"


def upgrade() -> None:
    """Create it, in place of the one that databases from before the first release have."""
    op.execute("DROP FUNCTION IF EXISTS scoring.submit_responses(scoring.entry[], smallint, boolean)")
    op.execute((_FUNCTIONS / "submit_responses_v1.sql").read_text(encoding="utf-8"))
