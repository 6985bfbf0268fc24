-- Stores a batch of graded answers and adds them to every total, in one transaction and one round trip.
--
-- Each (round, participant) comes at most once a call; a participant may come with several rounds.
-- A row is returned for every input, in the order of the inputs. Outcomes:
--   1 accepted   2 already answered (`stored` has the answer that counts)
--   3 the round is not, or no longer, what the grade was made from
--   4 the seat's ticket was withdrawn; for drafts and services: the seat is hidden, who had it was sent away
--   6 somebody keeps the session for long, and `in_wait` is false: nothing was looked at, let alone done
-- `seq` orders the changes of a session. One call takes all numbers after `first_seq`, in the order of its
-- inputs, those of the refused ones included; nobody else gets a number in between.
-- The standing returned is the participant's after this answer, or the present one when it was refused.
-- Answers to rounds that withhold feedback are held: the board, the streak and who was first know nothing
-- of them until the round closes.
CREATE FUNCTION scoring.submit_responses(
    in_entries scoring.entry[], in_rule_version smallint, in_from_draft boolean, in_wait boolean
) RETURNS TABLE (
    outcome smallint,
    first_seq bigint,
    seq bigint,
    streak_points bigint,
    standing scoring.participant,
    stored scoring.response
) LANGUAGE plpgsql
-- A plan made while the tables were small would read them from end to end when they have grown: let
-- every row be found by its key, and the plan be made once.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    ours text[];
BEGIN
    -- Whoever keeps a session long, as closing a round of many drafts does, has this lock of it alone, and
    -- takes it before the row's. Batches share it: they wait for one another, which is short, and pass over
    -- what is kept long. Who waits for it alone is not overtaken by those who would share it.
    IF in_wait THEN
        SELECT array_agg(session_id) INTO ours
        FROM (SELECT DISTINCT session_id FROM unnest(in_entries) ORDER BY session_id) AS e
        -- It returns nothing, which is not null.
        WHERE pg_advisory_xact_lock_shared(hashtextextended('scoring.session/' || session_id, 0)) IS NOT NULL;
    ELSE
        SELECT array_agg(session_id) INTO ours
        FROM (SELECT DISTINCT session_id FROM unnest(in_entries)) AS e
        WHERE pg_try_advisory_xact_lock_shared(hashtextextended('scoring.session/' || session_id, 0));
    END IF;
    -- The one mutex of a session: rounds are opened, paused, closed and cancelled under it too. What
    -- follows is a statement of its own, so it sees all that was committed before the lock was had.
    PERFORM FROM scoring.session WHERE session_id = ANY (ours) ORDER BY session_id FOR NO KEY UPDATE;

    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT
            i.*,
            s.seq AS first_seq,
            s.seq + i.ordinal AS seq,
            r.organization_id,
            r.streak_step,
            r.streak_maximum,
            r.withheld,
            p AS before,
            coalesce(p.score, 0) AS score_before,
            coalesce(p.duration_ms, 0) AS duration_before,
            coalesce(p.response_count, 0) AS responses_before,
            coalesce(p.correct_count, 0) AS correct_before,
            coalesce(p.partial_count, 0) AS partial_before,
            coalesce(p.incorrect_count, 0) AS incorrect_before,
            coalesce(p.streak, 0) AS streak_before,
            coalesce(p.held_score, 0) AS held_score_before,
            coalesce(p.held_duration_ms, 0) AS held_duration_before,
            coalesce(p.held_count, 0) AS held_before,
            d AS stored,
            CASE
                WHEN s.session_id <> ALL (coalesce(ours, '{}')) THEN 6
                -- The generation guards a ticket; a draft was saved while its ticket counted, and services
                -- have none.
                WHEN CASE
                    WHEN in_from_draft OR i.generation IS NULL THEN p.hidden
                    ELSE i.generation < p.minimum_generation
                END THEN 4
                WHEN d.round_id IS NOT NULL THEN 2
                WHEN r.session_id = i.session_id AND r.revision = i.revision AND r.status = 1 THEN 1
                ELSE 3
            END AS outcome
        FROM unnest(in_entries) WITH ORDINALITY AS i (
            session_id, round_id, revision, participant_id, generation,
            display_name, request_id, answer, status, base, speed,
            penalty, credit, duration_ms, submit_time, tokens, delivery_delay_ms, network_credit_ms, ordinal
        )
        LEFT JOIN scoring.session AS s ON s.session_id = i.session_id
        LEFT JOIN scoring.round AS r ON r.round_id = i.round_id
        LEFT JOIN scoring.participant AS p
            ON p.session_id = i.session_id AND p.participant_id = i.participant_id
        LEFT JOIN scoring.response AS d
            ON d.round_id = i.round_id AND d.participant_id = i.participant_id
    ),
    -- Runs of right answers: each one that is not right starts a new run, ungraded ones stand aside.
    numbered AS (
        SELECT
            j.*,
            count(*) FILTER (WHERE j.status IN (3, 4) AND NOT j.withheld)
                OVER (PARTITION BY j.session_id, j.participant_id ORDER BY j.ordinal) AS run
        FROM judged AS j
        WHERE j.outcome = 1
    ),
    streaked AS (
        SELECT
            n.*,
            count(*) FILTER (WHERE n.status = 2 AND NOT n.withheld)
                OVER (PARTITION BY n.session_id, n.participant_id, n.run ORDER BY n.ordinal)
                + CASE WHEN n.run = 0 THEN n.streak_before ELSE 0 END AS streak
        FROM numbered AS n
    ),
    priced AS (
        SELECT
            t.*,
            CASE
                WHEN t.status = 2
                    -- LEAST passes over a null, which is no bound.
                    THEN least(
                        t.streak_step::bigint * (t.streak - CASE WHEN t.withheld THEN 0 ELSE 1 END),
                        nullif(t.streak_maximum, 0)
                    )
                ELSE 0
            END AS streak_points
        FROM streaked AS t
    ),
    scored AS MATERIALIZED (
        SELECT
            p.*,
            p.base + p.speed + p.penalty + p.streak_points AS score,
            ROW(
                p.session_id,
                p.participant_id,
                p.organization_id,
                coalesce(nullif(p.display_name, ''), (p.before).display_name, ''),
                coalesce((p.before).minimum_generation, 0),
                coalesce((p.before).hidden, false),
                p.seq,
                -- The present score was reached with the last answer that moved it, or else with the first.
                coalesce(
                    max(p.seq) FILTER (
                        WHERE p.base + p.speed + p.penalty + p.streak_points <> 0 AND NOT p.withheld
                    ) OVER own,
                    CASE WHEN p.responses_before > p.held_before THEN (p.before).reached_seq END,
                    min(p.seq) FILTER (WHERE NOT p.withheld) OVER own,
                    0
                ),
                p.score_before + sum(p.base + p.speed + p.penalty + p.streak_points) OVER own,
                p.duration_before + sum(p.duration_ms) OVER own,
                p.responses_before + count(*) OVER own,
                p.correct_before + count(*) FILTER (WHERE p.status = 2) OVER own,
                p.partial_before + count(*) FILTER (WHERE p.status = 4) OVER own,
                p.incorrect_before + count(*) FILTER (WHERE p.status = 3) OVER own,
                p.streak,
                greatest(max(p.streak) OVER own, coalesce((p.before).best_streak, 0)),
                p.held_score_before + coalesce(
                    sum(p.base + p.speed + p.penalty + p.streak_points) FILTER (WHERE p.withheld) OVER own, 0
                ),
                p.held_duration_before + coalesce(sum(p.duration_ms) FILTER (WHERE p.withheld) OVER own, 0),
                p.held_before + count(*) FILTER (WHERE p.withheld) OVER own
            )::scoring.participant AS standing
        FROM priced AS p
        WINDOW own AS (PARTITION BY p.session_id, p.participant_id ORDER BY p.ordinal)
    ),
    responses AS (
        INSERT INTO scoring.response (
            round_id, participant_id, session_id, organization_id, seq, request_id, display_name, answer,
            status, score, base, speed, streak, penalty, credit, rule_version, duration_ms, submit_time,
            from_draft, total_score, delivery_delay_ms, network_credit_ms
        )
        SELECT
            round_id, participant_id, session_id, organization_id, seq, request_id, display_name, answer,
            status, score, base, speed, streak_points, penalty, credit, in_rule_version, duration_ms,
            submit_time, in_from_draft, (standing).score - (standing).held_score, delivery_delay_ms,
            network_credit_ms
        FROM scored
    ),
    standings AS (
        INSERT INTO scoring.participant AS p
        SELECT (last.standing).*
        FROM (
            SELECT DISTINCT ON (session_id, participant_id) standing
            FROM scored
            ORDER BY session_id, participant_id, ordinal DESC
            OFFSET 0
        ) AS last
        ON CONFLICT (session_id, participant_id) DO UPDATE SET
            display_name = excluded.display_name,
            version = excluded.version,
            reached_seq = excluded.reached_seq,
            score = excluded.score,
            duration_ms = excluded.duration_ms,
            response_count = excluded.response_count,
            correct_count = excluded.correct_count,
            partial_count = excluded.partial_count,
            incorrect_count = excluded.incorrect_count,
            streak = excluded.streak,
            best_streak = excluded.best_streak,
            held_score = excluded.held_score,
            held_duration_ms = excluded.held_duration_ms,
            held_count = excluded.held_count
    ),
    rounds AS (
        UPDATE scoring.round AS r SET
            change_seq = a.last_seq,
            response_count = r.response_count + a.responses,
            correct_count = r.correct_count + a.correct,
            partial_count = r.partial_count + a.partial,
            incorrect_count = r.incorrect_count + a.incorrect,
            score_total = r.score_total + a.score,
            duration_ms = r.duration_ms + a.duration_ms
        FROM (
            SELECT
                round_id,
                max(seq) AS last_seq,
                count(*) AS responses,
                count(*) FILTER (WHERE status = 2) AS correct,
                count(*) FILTER (WHERE status = 4) AS partial,
                count(*) FILTER (WHERE status = 3) AS incorrect,
                sum(score) AS score,
                sum(duration_ms) AS duration_ms
            FROM scored
            GROUP BY round_id
        ) AS a
        WHERE r.round_id = a.round_id
    ),
    sessions AS (
        UPDATE scoring.session AS s SET
            seq = a.last_seq,
            participant_count = s.participant_count + a.participants,
            response_count = s.response_count + a.responses,
            correct_count = s.correct_count + a.correct,
            partial_count = s.partial_count + a.partial,
            incorrect_count = s.incorrect_count + a.incorrect,
            score_total = s.score_total + a.score,
            duration_ms = s.duration_ms + a.duration_ms
        FROM (
            SELECT
                session_id,
                max(seq) AS last_seq,
                count(*) FILTER (WHERE (standing).response_count = 1) AS participants,
                count(*) AS responses,
                count(*) FILTER (WHERE status = 2) AS correct,
                count(*) FILTER (WHERE status = 4) AS partial,
                count(*) FILTER (WHERE status = 3) AS incorrect,
                sum(score) AS score,
                sum(duration_ms) AS duration_ms
            FROM scored
            GROUP BY session_id
        ) AS a
        WHERE s.session_id = a.session_id
    ),
    answer_counts AS (
        INSERT INTO scoring.round_answer_count AS c (round_id, answer, organization_id, count)
        SELECT s.round_id, t.token, min(s.organization_id), count(*)
        FROM scored AS s
        CROSS JOIN LATERAL unnest(string_to_array(s.tokens, chr(31))) AS t (token)
        GROUP BY s.round_id, t.token
        ON CONFLICT (round_id, answer) DO UPDATE SET count = c.count + excluded.count
    ),
    answered AS (
        SELECT 1::smallint, s.first_seq, s.seq, s.streak_points, s.standing, NULL::scoring.response, s.ordinal
        FROM scored AS s
        UNION ALL
        SELECT j.outcome::smallint, j.first_seq, NULL, NULL, j.before, j.stored, j.ordinal
        FROM judged AS j
        WHERE j.outcome <> 1
    )
    SELECT a.outcome, a.first_seq, a.seq, a.streak_points, a.standing, a.stored
    FROM answered AS a (outcome, first_seq, seq, streak_points, standing, stored, ordinal)
    ORDER BY a.ordinal;
END;
$$
