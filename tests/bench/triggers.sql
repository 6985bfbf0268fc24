-- The opponent of row 5: live sessions as the design for PostgreSQL alone lays them out, with the tables,
-- indexes and functions that a response touches, under their names there.
--
-- "When a response is submitted, triggers automatically: update block stats (response count, accuracy,
-- average time); update participant stats (score, response count, average time); recalculate leaderboard
-- rankings (by score, then speed); update session-wide analytics." The timestamp triggers that it lists
-- are here as well; row-level security and the publication to clients are left out.

CREATE TYPE live_response_status AS ENUM ('submitted', 'correct', 'incorrect', 'partial');

CREATE TABLE live_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_code text NOT NULL UNIQUE,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE live_session_blocks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    live_session_id uuid NOT NULL REFERENCES live_sessions ON DELETE CASCADE,
    total_responses integer NOT NULL DEFAULT 0,
    correct_responses integer NOT NULL DEFAULT 0,
    average_response_time_ms numeric NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON live_session_blocks (live_session_id);

CREATE TABLE live_session_participants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    live_session_id uuid NOT NULL REFERENCES live_sessions ON DELETE CASCADE,
    display_name text NOT NULL,
    total_score integer NOT NULL DEFAULT 0,
    total_responses integer NOT NULL DEFAULT 0,
    correct_responses integer NOT NULL DEFAULT 0,
    average_response_time_ms numeric NOT NULL DEFAULT 0,
    rank integer,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON live_session_participants (live_session_id);
CREATE INDEX ON live_session_participants (live_session_id, rank);

CREATE TABLE live_session_responses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    live_session_id uuid NOT NULL REFERENCES live_sessions ON DELETE CASCADE,
    live_session_block_id uuid NOT NULL REFERENCES live_session_blocks ON DELETE CASCADE,
    participant_id uuid NOT NULL REFERENCES live_session_participants ON DELETE CASCADE,
    response_data jsonb NOT NULL,
    status live_response_status NOT NULL,
    score_earned integer NOT NULL,
    response_time_ms integer NOT NULL,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (live_session_block_id, participant_id)
);
CREATE INDEX ON live_session_responses (live_session_id);
CREATE INDEX ON live_session_responses (participant_id);
CREATE INDEX ON live_session_responses (status);

CREATE TABLE live_session_analytics (
    live_session_id uuid PRIMARY KEY REFERENCES live_sessions ON DELETE CASCADE,
    total_participants integer NOT NULL DEFAULT 0,
    total_responses integer NOT NULL DEFAULT 0,
    average_accuracy numeric NOT NULL DEFAULT 0,
    average_score numeric NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION update_block_stats(block_id uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE live_session_blocks AS b SET
        total_responses = s.total, correct_responses = s.correct, average_response_time_ms = s.time
    FROM (
        SELECT count(*) AS total, count(*) FILTER (WHERE status = 'correct') AS correct,
            coalesce(avg(response_time_ms), 0) AS time
        FROM live_session_responses WHERE live_session_block_id = block_id
    ) AS s
    WHERE b.id = block_id
$$;

CREATE FUNCTION update_participant_stats(participant uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE live_session_participants AS p SET
        total_score = s.score, total_responses = s.total, correct_responses = s.correct,
        average_response_time_ms = s.time
    FROM (
        SELECT coalesce(sum(score_earned), 0) AS score, count(*) AS total,
            count(*) FILTER (WHERE status = 'correct') AS correct,
            coalesce(avg(response_time_ms), 0) AS time
        FROM live_session_responses WHERE participant_id = participant
    ) AS s
    WHERE p.id = participant
$$;

CREATE FUNCTION calculate_leaderboard_ranks(session_id uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE live_session_participants AS p SET rank = ranked.place
    FROM (
        SELECT id, rank() OVER (ORDER BY total_score DESC, average_response_time_ms) AS place
        FROM live_session_participants WHERE live_session_id = session_id
    ) AS ranked
    WHERE p.id = ranked.id
$$;

CREATE FUNCTION update_session_analytics(session_id uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO live_session_analytics AS a
        (live_session_id, total_participants, total_responses, average_accuracy, average_score)
    SELECT session_id,
        (SELECT count(*) FROM live_session_participants WHERE live_session_id = session_id),
        count(*),
        coalesce(avg((status = 'correct')::integer), 0),
        coalesce(avg(score_earned), 0)
    FROM live_session_responses WHERE live_session_id = session_id
    ON CONFLICT (live_session_id) DO UPDATE SET
        total_participants = excluded.total_participants,
        total_responses = excluded.total_responses,
        average_accuracy = excluded.average_accuracy,
        average_score = excluded.average_score
$$;

CREATE FUNCTION update_stats_after_response() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM update_block_stats(NEW.live_session_block_id);
    PERFORM update_participant_stats(NEW.participant_id);
    PERFORM calculate_leaderboard_ranks(NEW.live_session_id);
    PERFORM update_session_analytics(NEW.live_session_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER trigger_update_stats_after_response AFTER INSERT ON live_session_responses
    FOR EACH ROW EXECUTE FUNCTION update_stats_after_response();

CREATE FUNCTION update_timestamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TRIGGER trigger_timestamp BEFORE UPDATE ON live_sessions
    FOR EACH ROW EXECUTE FUNCTION update_timestamp();
CREATE TRIGGER trigger_timestamp BEFORE UPDATE ON live_session_blocks
    FOR EACH ROW EXECUTE FUNCTION update_timestamp();
CREATE TRIGGER trigger_timestamp BEFORE UPDATE ON live_session_participants
    FOR EACH ROW EXECUTE FUNCTION update_timestamp();
CREATE TRIGGER trigger_timestamp BEFORE UPDATE ON live_session_analytics
    FOR EACH ROW EXECUTE FUNCTION update_timestamp();
