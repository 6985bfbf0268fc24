-- Keeps a batch of drafts, each in place of the one before it.
--
-- Each (round, participant) comes at most once a call. A row is returned for every input, in the order
-- of the inputs. Outcomes:
--   1 saved   2 a repeat of a request that is remembered (`known_fingerprint` tells of what; nothing saved)
--   3 the round is not what the caller believes   4 the seat's ticket was withdrawn   5 already answered
CREATE FUNCTION scoring.save_drafts(in_entries scoring.draft_entry[]) RETURNS TABLE (
    outcome smallint,
    save_time timestamptz,
    known_fingerprint bytea
) LANGUAGE plpgsql
-- A plan made while the tables were small would read them from end to end when they have grown: let
-- every row be found by its key, and the plan be made once.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    -- Whoever closes the round holds this lock, so a draft is saved before the close reads them or refused.
    PERFORM FROM scoring.session
    WHERE session_id IN (SELECT e.session_id FROM unnest(in_entries) AS e)
    ORDER BY session_id
    FOR NO KEY UPDATE;

    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT
            i.*,
            r.organization_id,
            d.save_times[k.place] AS known_time,
            d.fingerprints[k.place] AS known_fingerprint,
            CASE
                WHEN i.generation < p.minimum_generation THEN 4
                WHEN k.place IS NOT NULL THEN 2
                WHEN a.round_id IS NOT NULL THEN 5
                WHEN r.session_id = i.session_id AND r.revision = i.revision AND r.status = 1 THEN 1
                ELSE 3
            END AS outcome
        FROM unnest(in_entries) WITH ORDINALITY AS i (
            session_id, round_id, revision, participant_id, generation,
            display_name, request_id, fingerprint, answer, save_time, ordinal
        )
        LEFT JOIN scoring.round AS r ON r.round_id = i.round_id
        LEFT JOIN scoring.participant AS p
            ON p.session_id = i.session_id AND p.participant_id = i.participant_id
        LEFT JOIN scoring.response AS a
            ON a.round_id = i.round_id AND a.participant_id = i.participant_id
        LEFT JOIN scoring.draft AS d
            ON d.round_id = i.round_id AND d.participant_id = i.participant_id
        CROSS JOIN LATERAL (SELECT array_position(d.request_ids, nullif(i.request_id, '')) AS place) AS k
    ),
    saved AS (
        INSERT INTO scoring.draft AS d (
            round_id, participant_id, session_id, organization_id, generation, display_name, answer,
            save_time, request_ids, fingerprints, save_times
        )
        SELECT
            round_id, participant_id, session_id, organization_id, generation, display_name, answer,
            save_time, ARRAY[request_id], ARRAY[fingerprint], ARRAY[save_time]
        FROM judged AS j
        WHERE j.outcome = 1
        ON CONFLICT (round_id, participant_id) DO UPDATE SET
            generation = excluded.generation,
            display_name = excluded.display_name,
            answer = excluded.answer,
            save_time = excluded.save_time,
            -- The last 16 are remembered: a delayed repeat of an older draft must not undo a newer one.
            request_ids = (excluded.request_ids || d.request_ids)[1:16],
            fingerprints = (excluded.fingerprints || d.fingerprints)[1:16],
            save_times = (excluded.save_times || d.save_times)[1:16]
    )
    SELECT j.outcome::smallint, coalesce(j.known_time, j.save_time), j.known_fingerprint
    FROM judged AS j
    ORDER BY j.ordinal;
END;
$$
