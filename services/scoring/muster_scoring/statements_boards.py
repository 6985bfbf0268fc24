"""SQL of boards: places by window functions, which the index must agree with."""

from typing import Final

# What is held of a standing is not shown, neither on boards nor by the order of results.
_STANDING: Final = """
    p.*,
    p.score - p.held_score AS shown_score,
    p.duration_ms - p.held_duration_ms AS shown_ms
"""

_ORDER: Final = """
    p.score - p.held_score DESC,
    p.duration_ms - p.held_duration_ms,
    p.reached_seq,
    p.participant_id COLLATE "C"
"""

# Whether a row comes after the place in the parameters, or there is no such place.
_AFTER: Final = """
    (:first OR p.shown_score < :score
    OR p.shown_score = :score AND p.shown_ms > :duration_ms
    OR p.shown_score = :score AND p.shown_ms = :duration_ms AND p.reached_seq > :reached_seq
    OR p.shown_score = :score AND p.shown_ms = :duration_ms AND p.reached_seq = :reached_seq
        AND p.participant_id COLLATE "C" > :participant_id)
"""

_RANKED: Final = f"""
    ranked AS (
        SELECT
            {_STANDING},
            row_number() OVER (ORDER BY {_ORDER}) AS rank
        FROM scoring.participant AS p
        WHERE p.session_id = :session_id AND p.response_count > p.held_count AND NOT p.hidden
    )
"""  # noqa: S608 - made of constants

# The head comes with every page, also an empty one.
_PAGE: Final = """
    SELECT
        coalesce((SELECT s.seq FROM scoring.session AS s WHERE s.session_id = :session_id), 0) AS head_seq,
        (SELECT count(*) FROM ranked) AS total,
        p.*
    FROM (VALUES (1)) AS one (line)
"""

PAGE: Final = f"""
    WITH {_RANKED}
    {_PAGE}
    LEFT JOIN (SELECT * FROM ranked AS p WHERE {_AFTER} ORDER BY p.rank LIMIT :limit) AS p ON true
    ORDER BY p.rank
"""  # noqa: S608 - made of constants

AROUND: Final = f"""
    WITH {_RANKED},
    own AS (SELECT rank FROM ranked WHERE participant_id = :participant_id)
    {_PAGE}
    LEFT JOIN (
        SELECT r.* FROM ranked AS r JOIN own AS o ON r.rank BETWEEN o.rank - :radius AND o.rank + :radius
    ) AS p ON true
    ORDER BY p.rank
"""  # noqa: S608 - made of constants

# Everybody who answered; those who are not on the board after the others.
RESULTS: Final = f"""
    SELECT * FROM (
        SELECT
            {_STANDING},
            row_number() OVER (
                PARTITION BY p.hidden OR p.response_count = p.held_count ORDER BY {_ORDER}
            ) AS rank,
            p.hidden OR p.response_count = p.held_count AS unranked
        FROM scoring.participant AS p
        WHERE p.session_id = :session_id AND p.response_count > 0
    ) AS p
    WHERE p.unranked > :unranked OR p.unranked = :unranked AND {_AFTER}
    ORDER BY p.unranked, {_ORDER}
    LIMIT :limit
"""  # noqa: S608 - made of constants
