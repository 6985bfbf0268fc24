-- Adds scores to boards and to the boards of their teams, in one transaction and one round trip.
--
-- Scores come in units, each of one board, of which all count or none: a batch, or one score. `in_units` has
-- the unit of each score, from 1; units and scores are in the order in which they count. A request key comes
-- at most once a call, '' is none. Rows returned, by `kind`:
--   1 every unit, at its `place`. `outcome`: 1 accepted   2 a repeated batch (`results` has what was told)
--     3 no such board   4 the board takes no scores now   5 a session's board   6 a key of another request
--   2 every board that changed, and every one of repeated scores, as it is now; `version` is its last change
--     before these scores
--   3 an entry after the score at a `place` (`outcome` 1: changed by it, 0: not), as far as somebody has to
--     know: the last of each entry (`is_last`), and all of units that want results. A team's names itself.
--   4 what was told of a score whose key is known; it is not added again
CREATE FUNCTION scoring.submit_scores(
    unit_boards text[], unit_organizations text[], unit_keys text[], unit_fingerprints bytea[],
    unit_wants_results boolean[],
    in_units integer[], in_boards text[], in_entries text[], in_names text[], in_teams text[],
    in_scores bigint[], in_durations bigint[], in_keys text[], in_fingerprints bytea[], in_has_keys boolean
) RETURNS TABLE (
    kind smallint,
    place bigint,
    outcome smallint,
    is_last boolean,
    board_id text,
    entry_id text,
    display_name text,
    version bigint,
    reached_seq bigint,
    score bigint,
    duration_ms bigint,
    submission_count bigint,
    board scoring.board,
    results scoring.score_result[]
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
    at timestamptz;
    touched text[];
    known boolean[];
    mistaken boolean[];
    repeated_units integer[];
    mistaken_units integer[];
    verdicts smallint[];
BEGIN
    touched := ARRAY(
        SELECT u.board_id FROM unnest(unit_boards) AS u (board_id)
        UNION
        SELECT b.team_board_id
        FROM unnest(unit_boards) AS u (board_id)
        JOIN scoring.board AS b ON b.board_id = u.board_id
        WHERE b.team_board_id <> ''
    );
    -- The mutex of a board. What follows are statements of their own, so they see all that was committed
    -- before the locks were had; the time is read while they are held, so that it agrees with the order.
    PERFORM FROM scoring.board AS b
    WHERE b.board_id = ANY (touched)
    ORDER BY b.board_id
    FOR NO KEY UPDATE;
    at := clock_timestamp();
    IF EXISTS (
        SELECT FROM scoring.board AS b
        WHERE b.board_id = ANY (unit_boards) AND b.team_board_id <> '' AND b.team_board_id <> ALL (touched)
    ) THEN
        RAISE serialization_failure USING MESSAGE = 'a board was made anew just now';
    END IF;
    PERFORM scoring.turn_seasons(touched, at);

    IF in_has_keys THEN
        SELECT
            array_agg(q.fingerprint IS NOT NULL ORDER BY i.ordinal),
            array_agg(coalesce(q.fingerprint <> i.fingerprint, false) ORDER BY i.ordinal)
        INTO known, mistaken
        FROM unnest(in_boards, in_keys, in_fingerprints) WITH ORDINALITY AS i (
            board_id, request_key, fingerprint, ordinal
        )
        LEFT JOIN scoring.score_request AS q ON q.board_id = i.board_id AND q.request_key = i.request_key;
        in_has_keys := true = ANY (known);
    END IF;
    IF in_has_keys THEN
        SELECT
            array_agg(u.unit) FILTER (WHERE u.is_repeated),
            array_agg(u.unit) FILTER (WHERE u.is_mistaken)
        INTO repeated_units, mistaken_units
        FROM (
            SELECT i.unit, bool_and(i.known) AS is_repeated, bool_or(i.mistaken) AS is_mistaken
            FROM unnest(in_units, known, mistaken) AS i (unit, known, mistaken)
            GROUP BY i.unit
        ) AS u;

        RETURN QUERY
        SELECT
            4::smallint, i.ordinal, q.changed::integer::smallint, false, NULL::text, NULL::text,
            q.display_name, 0::bigint, 0::bigint, q.score, q.duration_ms, q.submission_count,
            NULL::scoring.board, NULL::scoring.score_result[]
        FROM unnest(in_boards, in_keys) WITH ORDINALITY AS i (board_id, request_key, ordinal)
        JOIN scoring.score_request AS q ON q.board_id = i.board_id AND q.request_key = i.request_key;
    END IF;

    verdicts := ARRAY(
        SELECT CASE
            WHEN b.board_id IS NULL OR b.delete_time IS NOT NULL
                OR u.organization_id NOT IN ('', b.organization_id) THEN CASE
                WHEN EXISTS (
                    SELECT FROM scoring.session AS s
                    WHERE s.session_id = u.board_id AND u.organization_id IN ('', s.organization_id)
                ) THEN 5
                ELSE 3
            END
            WHEN q.fingerprint = u.fingerprint THEN 2
            WHEN q.fingerprint IS NOT NULL OR u.ordinal = ANY (mistaken_units) THEN 6
            -- What was taken stays told when the board takes no more.
            WHEN u.ordinal = ANY (repeated_units) THEN 1
            WHEN at < b.open_time OR at >= b.close_time THEN 4
            ELSE 1
        END
        FROM unnest(unit_boards, unit_organizations, unit_keys, unit_fingerprints) WITH ORDINALITY AS u (
            board_id, organization_id, request_key, fingerprint, ordinal
        )
        LEFT JOIN scoring.board AS b ON b.board_id = u.board_id
        LEFT JOIN scoring.score_batch AS q ON q.board_id = u.board_id AND q.request_key = u.request_key
        ORDER BY u.ordinal
    );

    RETURN QUERY
    SELECT
        1::smallint, u.ordinal, u.verdict, NULL::boolean, NULL::text, NULL::text, NULL::text, NULL::bigint,
        NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::scoring.board,
        CASE WHEN u.verdict = 2 THEN (
            SELECT q.results FROM scoring.score_batch AS q
            WHERE q.board_id = u.board_id AND q.request_key = u.request_key
        ) END
    FROM unnest(verdicts, unit_boards, unit_keys) WITH ORDINALITY AS u (
        verdict, board_id, request_key, ordinal
    );

    RETURN QUERY
    WITH scores AS MATERIALIZED (
        SELECT
            i.ordinal,
            i.unit,
            i.board_id COLLATE "C" AS board_id,
            i.entry_id COLLATE "C" AS entry_id,
            i.display_name,
            i.team_id COLLATE "C" AS team_id,
            i.score,
            i.duration_ms,
            i.request_key,
            i.fingerprint,
            b.organization_id,
            b.operator,
            b.ascending,
            b.floor_seq,
            b.seq AS board_seq,
            b.team_board_id
        FROM unnest(
            in_units, in_boards, in_entries, in_names, in_teams, in_scores, in_durations, in_keys,
            in_fingerprints
        ) WITH ORDINALITY AS i (
            unit, board_id, entry_id, display_name, team_id, score, duration_ms, request_key, fingerprint,
            ordinal
        )
        JOIN scoring.board AS b ON b.board_id = i.board_id
        WHERE verdicts[i.unit] = 1 AND known[i.ordinal] IS NOT TRUE
    ),
    -- What a member scores, the team does, as far as its board takes scores.
    fed AS (
        SELECT
            false AS is_team, ordinal, unit, board_id, entry_id, display_name, score, duration_ms,
            request_key, fingerprint, organization_id, operator, ascending, floor_seq, board_seq
        FROM scores
        UNION ALL
        SELECT
            true, s.ordinal, s.unit, b.board_id, s.team_id, '', s.score, s.duration_ms,
            '', NULL, b.organization_id, b.operator, b.ascending, b.floor_seq, b.seq
        FROM scores AS s
        JOIN scoring.board AS b ON b.board_id = s.team_board_id AND b.organization_id = s.organization_id
        WHERE s.team_id <> '' AND b.delete_time IS NULL
            AND NOT coalesce(at < b.open_time OR at >= b.close_time, false)
    ),
    numbered AS (
        SELECT
            f.*,
            f.board_seq + row_number() OVER (PARTITION BY f.board_id ORDER BY f.ordinal) AS seq,
            e.display_name AS name_before,
            e.reached_seq AS reached_before,
            e.score AS score_before,
            e.duration_ms AS duration_before,
            coalesce(e.submission_count, 0) AS submissions_before
        FROM fed AS f
        LEFT JOIN scoring.board_entry AS e
            ON e.board_id = f.board_id AND e.floor_seq = f.floor_seq AND e.entry_id = f.entry_id
            AND NOT e.removed
    ),
    folded AS (
        SELECT
            n.*,
            n.submissions_before + row_number() OVER own AS submissions,
            max(n.ordinal) FILTER (WHERE n.display_name <> '') OVER own AS named_by,
            -- The better one of arrays is that with the better first number, then that with the better second.
            CASE n.operator
                WHEN 1 THEN greatest(
                    CASE
                        WHEN n.score_before IS NULL THEN NULL
                        WHEN n.ascending THEN ARRAY[~n.score_before, -n.duration_before]
                        ELSE ARRAY[n.score_before, -n.duration_before]
                    END,
                    max(
                        ARRAY[CASE WHEN n.ascending THEN ~n.score ELSE n.score END, -n.duration_ms]
                    ) FILTER (WHERE n.operator = 1) OVER own
                )
            END AS best,
            -- A sum stops at the ends of what 64 bits hold.
            least(greatest(
                coalesce(n.score_before, 0) + sum(n.score) FILTER (WHERE n.operator = 3) OVER own,
                -9223372036854775808
            ), 9223372036854775807)::bigint AS score_sum,
            least(
                coalesce(n.duration_before, 0) + sum(n.duration_ms) FILTER (WHERE n.operator = 3) OVER own,
                9223372036854775807
            )::bigint AS duration_sum
        FROM numbered AS n
        WINDOW own AS (PARTITION BY n.board_id, n.entry_id ORDER BY n.ordinal)
    ),
    valued AS (
        SELECT
            f.*,
            CASE f.operator
                WHEN 1 THEN CASE WHEN f.ascending THEN ~f.best[1] ELSE f.best[1] END
                WHEN 2 THEN f.score
                ELSE f.score_sum
            END AS score_after,
            CASE f.operator
                WHEN 1 THEN -f.best[2]
                WHEN 2 THEN f.duration_ms
                ELSE f.duration_sum
            END AS duration_after
        FROM folded AS f
    ),
    compared AS (
        SELECT
            v.*,
            (v.score_after, v.duration_after) IS DISTINCT FROM (
                lag(v.score_after, 1, v.score_before) OVER own,
                lag(v.duration_after, 1, v.duration_before) OVER own
            ) AS has_changed,
            lead(1) OVER own IS NULL AS is_last
        FROM valued AS v
        WINDOW own AS (PARTITION BY v.board_id, v.entry_id ORDER BY v.ordinal)
    ),
    settled AS MATERIALIZED (
        SELECT
            c.*,
            CASE
                WHEN c.named_by = c.ordinal THEN c.display_name
                WHEN c.named_by IS NOT NULL THEN in_names[c.named_by]
                ELSE coalesce(c.name_before, '')
            END AS name_after,
            coalesce(
                max(c.seq) FILTER (WHERE c.has_changed) OVER (
                    PARTITION BY c.board_id, c.entry_id ORDER BY c.ordinal
                ),
                c.reached_before
            ) AS reached
        FROM compared AS c
    ),
    entries AS (
        INSERT INTO scoring.board_entry AS e (
            board_id, floor_seq, entry_id, organization_id, display_name, version, reached_seq, score,
            duration_ms, submission_count
        )
        SELECT
            board_id, floor_seq, entry_id, organization_id, name_after, seq, reached, score_after,
            duration_after, submissions
        FROM settled
        WHERE is_last
        ON CONFLICT (board_id, floor_seq, entry_id) DO UPDATE SET
            display_name = excluded.display_name,
            version = excluded.version,
            reached_seq = excluded.reached_seq,
            score = excluded.score,
            duration_ms = excluded.duration_ms,
            submission_count = excluded.submission_count,
            removed = false
    ),
    requests AS (
        INSERT INTO scoring.score_request (
            board_id, request_key, organization_id, fingerprint, changed, display_name, score, duration_ms,
            submission_count, create_time
        )
        SELECT
            board_id, request_key, organization_id, fingerprint, has_changed, name_after, score_after,
            duration_after, submissions, at
        FROM settled
        WHERE request_key <> ''
    ),
    told AS (
        SELECT
            s.unit,
            s.ordinal,
            ROW(
                s.has_changed, s.name_after, s.score_after, s.duration_after, s.submissions
            )::scoring.score_result AS result
        FROM settled AS s
        WHERE NOT s.is_team AND unit_wants_results[s.unit]
        UNION ALL
        SELECT
            i.unit,
            i.ordinal,
            ROW(q.changed, q.display_name, q.score, q.duration_ms, q.submission_count)::scoring.score_result
        FROM unnest(in_units, in_boards, in_keys) WITH ORDINALITY AS i (unit, board_id, request_key, ordinal)
        JOIN scoring.score_request AS q ON q.board_id = i.board_id AND q.request_key = i.request_key
        WHERE in_has_keys AND unit_wants_results[i.unit]
    ),
    batches AS (
        INSERT INTO scoring.score_batch (
            board_id, request_key, organization_id, fingerprint, results, create_time
        )
        SELECT u.board_id, u.request_key, b.organization_id, u.fingerprint, t.results, at
        FROM unnest(unit_boards, unit_keys, unit_fingerprints) WITH ORDINALITY AS u (
            board_id, request_key, fingerprint, ordinal
        )
        JOIN scoring.board AS b ON b.board_id = u.board_id
        LEFT JOIN (
            SELECT unit, array_agg(result ORDER BY ordinal) AS results FROM told GROUP BY unit
        ) AS t ON t.unit = u.ordinal
        WHERE verdicts[u.ordinal] = 1 AND u.request_key <> ''
    ),
    boards AS (
        UPDATE scoring.board AS b SET seq = c.last_seq
        FROM (
            SELECT board_id, min(seq) - 1 AS first_seq, max(seq) AS last_seq
            FROM settled
            GROUP BY board_id
        ) AS c
        WHERE b.board_id = c.board_id
        RETURNING c.first_seq, b AS board
    )
    SELECT
        2::smallint, NULL::bigint, NULL::smallint, NULL::boolean, NULL::text, NULL::text, NULL::text,
        b.first_seq, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, b.board,
        NULL::scoring.score_result[]
    FROM boards AS b
    UNION ALL
    SELECT
        2::smallint, NULL::bigint, NULL::smallint, NULL::boolean, NULL::text, NULL::text, NULL::text,
        b.seq, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, b, NULL::scoring.score_result[]
    FROM scoring.board AS b
    WHERE (in_has_keys OR 2 = ANY (verdicts)) AND b.board_id = ANY (unit_boards)
        AND b.board_id NOT IN (SELECT s.board_id FROM settled AS s)
    UNION ALL
    SELECT
        3::smallint,
        s.ordinal,
        s.has_changed::integer::smallint,
        s.is_last,
        CASE WHEN s.is_team THEN s.board_id END,
        CASE WHEN s.is_team THEN s.entry_id END,
        s.name_after,
        s.seq,
        s.reached,
        s.score_after,
        s.duration_after,
        s.submissions,
        NULL::scoring.board,
        NULL::scoring.score_result[]
    FROM settled AS s
    WHERE s.is_last OR NOT s.is_team AND unit_wants_results[s.unit];
END;
$$
