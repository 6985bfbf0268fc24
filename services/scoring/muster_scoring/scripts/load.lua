-- KEYS[4]: who is loading; KEYS[5], KEYS[6]: places and lines that were loaded. ARGV: channel, message for
-- it, seq that they are complete up to, milliseconds to keep the board, its epoch, which is the token of who
-- is loading too, how many places and lines were loaded.
-- Makes them the board, unless there is one by now. Returns 0 when some of them were lost.
local loading, loaded_places, loaded_lines = KEYS[4], KEYS[5], KEYS[6]
-- Who took too long has lost the claim; it is another's then.
if redis.call('GET', loading) == ARGV[5] then redis.call('DEL', loading) end
local is_whole = redis.call('ZCARD', loaded_places) == tonumber(ARGV[6])
    and redis.call('HLEN', loaded_lines) == tonumber(ARGV[7])
if not is_whole or done_seq() then
    redis.call('UNLINK', loaded_places, loaded_lines)
    return is_whole and 1 or 0
end
redis.call('UNLINK', places, lines, early)
if redis.call('EXISTS', loaded_places) == 1 then redis.call('RENAME', loaded_places, places) end
if redis.call('EXISTS', loaded_lines) == 1 then redis.call('RENAME', loaded_lines, lines) end
redis.call('HSET', lines, EPOCH, ARGV[5])
keep(tonumber(ARGV[3]), ARGV[4])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
