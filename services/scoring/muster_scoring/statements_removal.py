"""SQL that deletes all that is kept of a session."""

from typing import Final

ROUND_IDS: Final = "SELECT round_id FROM scoring.round WHERE session_id = :session_id"

# The ids go in as an array, so that each table is searched by its key, never read from end to end.
OF_ROUNDS: Final = (
    "DELETE FROM scoring.draft WHERE round_id = ANY (CAST(:round_ids AS text[]))",
    "DELETE FROM scoring.round_answer_count WHERE round_id = ANY (CAST(:round_ids AS text[]))",
)

# Rounds refer to their session, which is the last to go.
OF_SESSION: Final = (
    "DELETE FROM scoring.response WHERE session_id = :session_id",
    "DELETE FROM scoring.participant WHERE session_id = :session_id",
    "DELETE FROM scoring.round WHERE session_id = :session_id",
    "DELETE FROM scoring.session WHERE session_id = :session_id",
)
