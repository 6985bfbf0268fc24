"""SQL of boards that services make."""

from typing import Final

SUBMIT: Final = """
    SELECT * FROM scoring.submit_scores($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

BOARD: Final = "SELECT * FROM scoring.board WHERE board_id = :board_id AND delete_time IS NULL"

LOCK: Final = f"{BOARD} FOR NO KEY UPDATE"

OWNER: Final = """
    SELECT organization_id, false AS is_session FROM scoring.board WHERE board_id = :board_id
    UNION ALL
    SELECT organization_id, true FROM scoring.session WHERE session_id = :board_id
    LIMIT 1
"""

TURN: Final = "SELECT scoring.turn_seasons(CAST(:board_ids AS text[]), clock_timestamp())"

HEADS: Final = """
    SELECT board_id, seq FROM scoring.board
    WHERE board_id = ANY (CAST(:board_ids AS text[])) AND delete_time IS NULL
"""

OVERDUE: Final = f"{HEADS} AND season_end <= clock_timestamp() ORDER BY board_id FOR NO KEY UPDATE"

MAKE: Final = """
    INSERT INTO scoring.board (
        board_id, organization_id, title, operator, ascending, reset_schedule, open_time, close_time,
        team_board_id, create_time, season, season_end, seq, floor_seq
    ) VALUES (
        :board_id, :organization_id, :title, :operator, :ascending, :reset_schedule, :open_time, :close_time,
        :team_board_id, :now, 1, scoring.season_end(CAST(:reset_schedule AS smallint), :now), 1, 1
    )
    ON CONFLICT DO NOTHING
    RETURNING *
"""

# The id of a board that was deleted: its changes are counted on.
MAKE_AGAIN: Final = """
    UPDATE scoring.board SET
        title = :title,
        operator = :operator,
        ascending = :ascending,
        reset_schedule = :reset_schedule,
        open_time = :open_time,
        close_time = :close_time,
        team_board_id = :team_board_id,
        create_time = :now,
        delete_time = NULL,
        season = 1,
        season_end = scoring.season_end(CAST(:reset_schedule AS smallint), :now),
        seq = seq + 1,
        floor_seq = seq + 1
    WHERE board_id = :board_id AND delete_time IS NOT NULL
    RETURNING *
"""

DELETE: Final = "UPDATE scoring.board SET delete_time = :now WHERE board_id = :board_id"

BEGIN_ANEW: Final = """
    UPDATE scoring.board SET season = season + 1, seq = seq + 1, floor_seq = seq + 1
    WHERE board_id = :board_id
    RETURNING *
"""

ADVANCE: Final = "UPDATE scoring.board SET seq = :seq WHERE board_id = :board_id"

REMOVE_ENTRY: Final = """
    UPDATE scoring.board_entry SET removed = true, version = :seq
    WHERE board_id = :board_id AND floor_seq = :floor_seq AND entry_id = :entry_id AND NOT removed
    RETURNING entry_id
"""

# What ranks is the score, or where lower ones are better, the score with all its bits turned over.
_MERIT: Final = "CASE WHEN b.ascending THEN ~e.score ELSE e.score END AS merit"

LINES: Final = f"""
    SELECT b.seq AS head_seq, b.floor_seq AS board_floor_seq, {_MERIT}, e.*
    FROM scoring.board AS b
    LEFT JOIN LATERAL (
        SELECT * FROM scoring.board_entry AS e
        WHERE e.board_id = b.board_id AND e.floor_seq = b.floor_seq
            AND e.version > :since_seq AND e.entry_id > :after
        ORDER BY e.entry_id
        LIMIT :limit
    ) AS e ON true
    WHERE b.board_id = :board_id AND b.delete_time IS NULL
    ORDER BY e.entry_id
"""  # noqa: S608 - made of constants

_RANKED: Final = f"""
    board AS (SELECT * FROM scoring.board WHERE board_id = :board_id AND delete_time IS NULL),
    ranked AS (
        SELECT
            e.*,
            m.merit,
            row_number() OVER (ORDER BY m.merit DESC, e.duration_ms, e.reached_seq, e.entry_id) AS rank
        FROM board AS b
        JOIN scoring.board_entry AS e
            ON e.board_id = b.board_id AND e.floor_seq = b.floor_seq AND NOT e.removed
        CROSS JOIN LATERAL (SELECT {_MERIT}) AS m
    )
"""  # noqa: S608 - made of constants

# The head comes with every page, also an empty one.
_PAGE: Final = """
    SELECT
        coalesce((SELECT b.seq FROM board AS b), 0) AS head_seq,
        (SELECT count(*) FROM ranked) AS total,
        p.*
    FROM (VALUES (1)) AS one (line)
"""

PAGE: Final = f"""
    WITH {_RANKED}
    {_PAGE}
    LEFT JOIN (
        SELECT * FROM ranked AS p
        WHERE :first OR (~p.merit, p.duration_ms, p.reached_seq, p.entry_id) > (
            ~CAST(:score AS bigint), CAST(:duration_ms AS bigint), CAST(:reached_seq AS bigint),
            CAST(:entry_id AS text)
        )
        ORDER BY p.rank
        LIMIT :limit
    ) AS p ON true
    ORDER BY p.rank
"""  # noqa: S608 - made of constants

AROUND: Final = f"""
    WITH {_RANKED},
    own AS (SELECT rank FROM ranked WHERE entry_id = :entry_id)
    {_PAGE}
    LEFT JOIN (
        SELECT r.* FROM ranked AS r JOIN own AS o ON r.rank BETWEEN o.rank - :radius AND o.rank + :radius
    ) AS p ON true
    ORDER BY p.rank
"""  # noqa: S608 - made of constants

# A little at a time, so that no lock is held for long. Each returns a row for each that it removed.
SWEEPS: Final = (
    *(
        f"""
        WITH old AS MATERIALIZED (
            SELECT board_id, request_key FROM {table}
            WHERE create_time < :keys_before LIMIT :limit
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM {table} AS key USING old
        WHERE key.board_id = old.board_id AND key.request_key = old.request_key
        """  # noqa: S608 - made of constants
        for table in ("scoring.score_request", "scoring.score_batch")
    ),
    """
    WITH old AS MATERIALIZED (
        SELECT e.board_id, e.floor_seq, e.entry_id
        FROM scoring.board AS b
        CROSS JOIN LATERAL (
            SELECT * FROM scoring.board_entry AS e
            WHERE e.board_id = b.board_id AND e.floor_seq < b.floor_seq
                + CASE WHEN b.delete_time IS NULL THEN 0 ELSE 1 END
            LIMIT :limit
        ) AS e
        LIMIT :limit
    )
    DELETE FROM scoring.board_entry AS e USING old
    WHERE e.board_id = old.board_id AND e.floor_seq = old.floor_seq AND e.entry_id = old.entry_id
    """,
    """
    WITH old AS MATERIALIZED (
        SELECT b.board_id FROM scoring.board AS b
        WHERE b.delete_time < :boards_before
            AND NOT EXISTS (SELECT FROM scoring.board_entry AS e WHERE e.board_id = b.board_id)
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM scoring.board AS b USING old WHERE b.board_id = old.board_id
    """,
)
