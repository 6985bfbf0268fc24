-- ARGV: entry id, neighbours on each side.
local done = done_seq()
if not done then return nil end
local _, order = unpack_line(redis.call('HGET', lines, ARGV[1]))
if order == '' then return {done, 0, redis.call('ZCARD', places)} end
local rank = redis.call('ZRANK', places, order .. ARGV[1])
local radius = tonumber(ARGV[2])
return slice(done, math.max(0, rank - radius), rank + radius)
