"""SQL of the rounds, seats and standings of sessions."""

from typing import Final

# Batches of answers pass over a session whose lock somebody has alone; see `submit_responses`.
KEEP_SESSION: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('scoring.session/' || CAST(:session_id AS text), 0))"
)
LOCK_SESSION: Final = "SELECT * FROM scoring.session WHERE session_id = :session_id FOR NO KEY UPDATE"

# For statements about all answers of a round or session. A planner that knows nothing of a table yet, as it
# grows by the second, takes it for small: it would read it from end to end, or once for each participant.
# They name session and round wherever they read: what a join would tell is not used to find rows.
MANY_ROWS: Final = """
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true)
"""

MAKE_SESSION: Final = """
    INSERT INTO scoring.session (session_id, organization_id, host_user_id)
    VALUES (:session_id, :organization_id, :host_user_id)
    ON CONFLICT DO NOTHING
    RETURNING session_id
"""

# Before anybody looks whether an id is free for a board or a session: one at a time, to the end of the
# transaction, so that whoever comes second sees what the first has made of it.
CLAIM_BOARD_ID: Final = "SELECT pg_advisory_xact_lock(hashtextextended(:board_id, 0))"

SET_HOST: Final = "UPDATE scoring.session SET host_user_id = :host_user_id WHERE session_id = :session_id"

ADVANCE: Final = """
    UPDATE scoring.session SET
        seq = :seq,
        opened_count = opened_count + :opened,
        round_count = round_count + :opened - :cancelled
    WHERE session_id = :session_id
"""

SESSION: Final = "SELECT * FROM scoring.session WHERE session_id = :session_id"

ROUND: Final = "SELECT * FROM scoring.round WHERE round_id = :round_id"

ROUNDS: Final = "SELECT * FROM scoring.round WHERE session_id = :session_id ORDER BY ordinal"

ADD_ROUND: Final = """
    INSERT INTO scoring.round (
        round_id, session_id, organization_id, block_id, ordinal, status, revision, graded, withheld,
        open_time, close_time, time_limit, time_left, pause_time, paused, answer_key, rules, streak_step,
        streak_maximum, change_seq
    ) VALUES (
        :round_id, :session_id, :organization_id, :block_id, :ordinal, :status, :revision, :graded,
        :withheld, :open_time, :close_time, :time_limit, :time_left, :pause_time, :paused, :answer_key,
        :rules, :streak_step, :streak_maximum, :seq
    )
    ON CONFLICT DO NOTHING
    RETURNING round_id
"""

SAVE_ROUND: Final = """
    UPDATE scoring.round SET
        status = :status, revision = :revision, close_time = :close_time, time_left = :time_left,
        pause_time = :pause_time, paused = :paused, change_seq = :seq, close_seq = :close_seq
    WHERE round_id = :round_id
"""

# OFFSET keeps a planner that takes the round for small from comparing every draft with every answer.
DRAFTS: Final = """
    SELECT d.participant_id, d.display_name, d.generation, d.answer
    FROM scoring.draft AS d
    WHERE d.round_id = :round_id AND NOT EXISTS (
        SELECT FROM scoring.response AS r
        WHERE r.round_id = d.round_id AND r.participant_id = d.participant_id
        OFFSET 0
    )
    ORDER BY d.save_time, d.participant_id
"""

# What was held is shown, and the streaks of those who did not answer end. Others are left alone.
SETTLE: Final = """
    WITH affected AS (
        SELECT
            p.participant_id, d.seq, d.status, d.score, d.duration_ms,
            row_number() OVER (ORDER BY d.seq NULLS LAST, p.participant_id) AS place
        FROM scoring.participant AS p
        JOIN scoring.round AS r ON r.round_id = :round_id
        LEFT JOIN scoring.response AS d
            ON d.round_id = :round_id AND d.participant_id = p.participant_id
        WHERE p.session_id = :session_id AND CASE
            WHEN d.round_id IS NULL THEN r.graded AND p.streak > 0
            ELSE r.withheld
        END
    )
    UPDATE scoring.participant AS p SET
        version = :seq + a.place,
        held_score = p.held_score - coalesce(a.score, 0),
        held_duration_ms = p.held_duration_ms - coalesce(a.duration_ms, 0),
        held_count = p.held_count - CASE WHEN a.seq IS NULL THEN 0 ELSE 1 END,
        reached_seq = CASE
            WHEN a.score <> 0 OR a.seq IS NOT NULL AND p.response_count = p.held_count THEN a.seq
            ELSE p.reached_seq
        END,
        streak = CASE a.status WHEN 2 THEN p.streak + 1 WHEN 1 THEN p.streak ELSE 0 END,
        best_streak = greatest(p.best_streak, CASE WHEN a.status = 2 THEN p.streak + 1 ELSE 0 END)
    FROM affected AS a
    WHERE p.session_id = :session_id AND p.participant_id = a.participant_id
    RETURNING p.*
"""

# Standings are made anew of the answers that are left, since points, times and streaks of the round
# cannot all be subtracted. A row of right answers ends with a wrong or partly right one, or with a graded
# round that closed without an answer. Held answers count for it when they were shown, if they were.
TAKE_BACK_STANDINGS: Final = """
    WITH affected AS (
        SELECT p.participant_id, row_number() OVER (ORDER BY p.participant_id) AS place
        FROM scoring.participant AS p
        WHERE p.session_id = :session_id AND (
            :was_closed OR EXISTS (
                SELECT FROM scoring.response AS d
                WHERE d.round_id = :round_id AND d.participant_id = p.participant_id
            )
        )
    ),
    others AS (
        SELECT
            r.round_id,
            r.withheld,
            r.withheld AND r.status <> 3 AS is_held,
            r.graded AND r.status = 3 AS can_be_missed,
            r.close_seq
        FROM scoring.round AS r
        WHERE r.session_id = :session_id AND r.round_id <> :round_id AND r.status <> 4
    ),
    answers AS (
        SELECT
            a.participant_id, o.is_held, o.can_be_missed,
            d.seq, d.status, d.score, d.duration_ms,
            CASE WHEN o.withheld OR d.seq IS NULL THEN o.close_seq ELSE d.seq END AS settled_seq
        FROM affected AS a
        CROSS JOIN others AS o
        LEFT JOIN (SELECT * FROM scoring.response WHERE session_id = :session_id) AS d
            ON d.round_id = o.round_id AND d.participant_id = a.participant_id
    ),
    marks AS (
        SELECT participant_id, settled_seq, coalesce(status = 2, false) AS is_right
        FROM answers
        WHERE NOT is_held AND CASE WHEN seq IS NULL THEN can_be_missed ELSE status <> 1 END
    ),
    runs AS (
        SELECT
            participant_id,
            is_right,
            count(*) FILTER (WHERE NOT is_right)
                OVER (PARTITION BY participant_id ORDER BY settled_seq) AS run
        FROM marks
    ),
    streaks AS (
        SELECT participant_id, max(length) AS best, (array_agg(length ORDER BY run DESC))[1] AS present
        FROM (
            SELECT participant_id, run, count(*) FILTER (WHERE is_right) AS length
            FROM runs
            GROUP BY participant_id, run
        ) AS lengths
        GROUP BY participant_id
    ),
    totals AS (
        SELECT
            participant_id,
            sum(score) AS score,
            sum(duration_ms) AS duration_ms,
            count(*) AS responses,
            count(*) FILTER (WHERE status = 2) AS correct,
            count(*) FILTER (WHERE status = 4) AS partial,
            count(*) FILTER (WHERE status = 3) AS incorrect,
            coalesce(sum(score) FILTER (WHERE is_held), 0) AS held_score,
            coalesce(sum(duration_ms) FILTER (WHERE is_held), 0) AS held_duration_ms,
            count(*) FILTER (WHERE is_held) AS held,
            coalesce(
                (array_agg(seq ORDER BY settled_seq DESC) FILTER (WHERE score <> 0 AND NOT is_held))[1],
                (array_agg(seq ORDER BY settled_seq) FILTER (WHERE NOT is_held))[1]
            ) AS reached_seq
        FROM answers
        WHERE seq IS NOT NULL
        GROUP BY participant_id
    ),
    made AS (
        UPDATE scoring.participant AS p SET
            version = :seq + a.place,
            score = coalesce(t.score, 0),
            duration_ms = coalesce(t.duration_ms, 0),
            response_count = coalesce(t.responses, 0),
            correct_count = coalesce(t.correct, 0),
            partial_count = coalesce(t.partial, 0),
            incorrect_count = coalesce(t.incorrect, 0),
            reached_seq = coalesce(t.reached_seq, 0),
            streak = coalesce(s.present, 0),
            best_streak = coalesce(s.best, 0),
            held_score = coalesce(t.held_score, 0),
            held_duration_ms = coalesce(t.held_duration_ms, 0),
            held_count = coalesce(t.held, 0)
        FROM affected AS a
        LEFT JOIN totals AS t ON t.participant_id = a.participant_id
        LEFT JOIN streaks AS s ON s.participant_id = a.participant_id
        WHERE p.session_id = :session_id AND p.participant_id = a.participant_id
        RETURNING p.*
    )
    SELECT * FROM made
"""

# Reads the round's counts and the standings before they are changed.
TAKE_BACK_TOTALS: Final = """
    UPDATE scoring.session AS s SET
        participant_count = s.participant_count - (
            SELECT count(*)
            FROM scoring.response AS d
            JOIN scoring.participant AS p
                ON p.session_id = :session_id AND p.participant_id = d.participant_id
            WHERE d.round_id = :round_id AND p.response_count = 1
        ),
        response_count = s.response_count - r.response_count,
        correct_count = s.correct_count - r.correct_count,
        partial_count = s.partial_count - r.partial_count,
        incorrect_count = s.incorrect_count - r.incorrect_count,
        score_total = s.score_total - r.score_total,
        duration_ms = s.duration_ms - r.duration_ms
    FROM scoring.round AS r
    WHERE s.session_id = :session_id AND r.round_id = :round_id
"""

CLEAR_ROUND: Final = """
    UPDATE scoring.round SET
        response_count = 0, correct_count = 0, partial_count = 0, incorrect_count = 0,
        score_total = 0, duration_ms = 0
    WHERE round_id = :round_id
"""

CLEAR_ANSWER_COUNTS: Final = "DELETE FROM scoring.round_answer_count WHERE round_id = :round_id"

UPDATE_SEAT: Final = """
    INSERT INTO scoring.participant AS p (
        session_id, participant_id, organization_id, minimum_generation, hidden, version
    ) VALUES (:session_id, :participant_id, :organization_id, :minimum_generation, :hidden, :seq)
    ON CONFLICT (session_id, participant_id) DO UPDATE SET
        minimum_generation = greatest(p.minimum_generation, excluded.minimum_generation),
        hidden = CASE
            -- Older news may come late.
            WHEN excluded.minimum_generation >= p.minimum_generation THEN excluded.hidden
            ELSE p.hidden
        END,
        version = excluded.version
    RETURNING p.*
"""

# The 100 most frequent answers of each round.
ANSWER_COUNTS: Final = """
    SELECT wanted.round_id, c.answer, c.count
    FROM unnest(CAST(:round_ids AS text[])) AS wanted (round_id)
    CROSS JOIN LATERAL (
        SELECT a.answer, a.count
        FROM scoring.round_answer_count AS a
        WHERE a.round_id = wanted.round_id
        ORDER BY a.count DESC, a.answer COLLATE "C"
        LIMIT 100
    ) AS c
"""

STANDINGS: Final = """
    SELECT s.seq, p.*
    FROM scoring.session AS s
    LEFT JOIN scoring.participant AS p
        ON p.session_id = s.session_id AND p.version > :since_seq AND p.participant_id > :after
    WHERE s.session_id = :session_id
    ORDER BY p.participant_id
    LIMIT :limit
"""

HEADS: Final = """
    SELECT session_id, seq FROM scoring.session WHERE session_id = ANY (CAST(:session_ids AS text[]))
"""
