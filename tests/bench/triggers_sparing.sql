-- The same design, sparing: only ranks that change are written. The document does not ask for it.

CREATE OR REPLACE FUNCTION calculate_leaderboard_ranks(session_id uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE live_session_participants AS p SET rank = ranked.place
    FROM (
        SELECT id, rank() OVER (ORDER BY total_score DESC, average_response_time_ms) AS place
        FROM live_session_participants WHERE live_session_id = session_id
    ) AS ranked
    WHERE p.id = ranked.id AND p.rank IS DISTINCT FROM ranked.place
$$;
