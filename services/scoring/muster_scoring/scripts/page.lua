-- ARGV: place after which the page begins (or nothing), how many lines.
local done = done_seq()
if not done then return nil end
local first = 0
if ARGV[1] ~= '' then first = redis.call('ZLEXCOUNT', places, '-', '[' .. ARGV[1]) end
return slice(done, first, first + tonumber(ARGV[2]) - 1)
