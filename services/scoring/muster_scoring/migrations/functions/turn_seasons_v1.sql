-- Lets the boards whose season is over begin anew, whose rows the caller has locked: nobody has to be there
-- at the very moment. As many seasons are counted as have ended since.
CREATE FUNCTION scoring.turn_seasons(in_boards text[], in_at timestamptz) RETURNS void LANGUAGE sql
AS $$
    UPDATE scoring.board AS b SET
        season = b.season + 1 + CASE b.reset_schedule
            WHEN 1 THEN extract(epoch FROM s.begin_time - b.season_end)::bigint / 86400
            WHEN 2 THEN extract(epoch FROM s.begin_time - b.season_end)::bigint / 604800
            ELSE (extract(year FROM s.begin_time AT TIME ZONE 'UTC')
                - extract(year FROM b.season_end AT TIME ZONE 'UTC')) * 12
                + extract(month FROM s.begin_time AT TIME ZONE 'UTC')
                - extract(month FROM b.season_end AT TIME ZONE 'UTC')
        END,
        season_end = scoring.season_end(b.reset_schedule, in_at),
        seq = b.seq + 1,
        floor_seq = b.seq + 1
    FROM (
        SELECT o.board_id, scoring.season_begin(o.reset_schedule, in_at) AS begin_time
        FROM scoring.board AS o
        WHERE o.board_id = ANY (in_boards) AND o.season_end <= in_at AND o.delete_time IS NULL
    ) AS s
    WHERE b.board_id = s.board_id
$$
