"""SQL of answers and counts as they are read, not as they are written."""

from typing import Final

# What is read of a round's row; its key and rules are large, and nobody needs them to show an answer.
_SHOWN: Final = "r.block_id, r.withheld AND r.status <> 3 AS is_withheld"

_CANCELLED: Final = 4

RESPONSE: Final = """
    SELECT * FROM scoring.response WHERE round_id = :round_id AND participant_id = :participant_id
"""

RESPONSES: Final = f"""
    SELECT d.*, {_SHOWN}
    FROM scoring.response AS d
    JOIN scoring.round AS r ON r.round_id = d.round_id
    WHERE d.session_id = :session_id AND d.seq > :after_seq AND r.status <> {_CANCELLED}
        AND (:round_id = '' OR d.round_id = :round_id)
    ORDER BY d.seq
    LIMIT :limit
"""  # noqa: S608 - made of constants

# One look into the primary key for each round of the session, and no index that every answer would have to
# keep up: a session has many answers, but not many rounds. OFFSET keeps the planner from joining otherwise.
OWN_RESPONSES: Final = f"""
    SELECT d.*, {_SHOWN}
    FROM scoring.round AS r
    CROSS JOIN LATERAL (
        SELECT * FROM scoring.response AS d
        WHERE d.round_id = r.round_id AND d.participant_id = :participant_id
        OFFSET 0
    ) AS d
    WHERE r.session_id = :session_id AND r.status <> {_CANCELLED} AND d.seq > :after_seq
        AND (:round_id = '' OR r.round_id = :round_id)
    ORDER BY d.seq
    LIMIT :limit
"""  # noqa: S608 - made of constants

NEWEST_RESPONSES: Final = f"""
    SELECT d.*, {_SHOWN}
    FROM scoring.response AS d
    JOIN scoring.round AS r ON r.round_id = d.round_id
    WHERE d.session_id = :session_id AND d.seq > :after_seq AND d.seq <= :until_seq
        AND r.status <> {_CANCELLED}
    ORDER BY d.seq DESC
    LIMIT :limit
"""  # noqa: S608 - made of constants

_COUNTS: Final = """
    SELECT
        round_id, block_id, status, response_count, correct_count, partial_count, incorrect_count,
        score_total, duration_ms, change_seq
    FROM scoring.round
"""

CHANGED_STATS: Final = f"""
    {_COUNTS}
    WHERE session_id = :session_id AND change_seq > :after_seq
    ORDER BY ordinal
"""

ROUND_STATS: Final = f"""
    {_COUNTS}
    WHERE round_id = :round_id
"""
