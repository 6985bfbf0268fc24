-- ARGV after the head: epoch, seq after which to begin, most events. Returns {first seq, event, event ...},
-- each event as in the log; nothing when the life is another one, or there is none.
if ARGV[HEAD + 1] ~= epoch then return nil end
local first = seq - redis.call('LLEN', log) + 1
local from = math.max(tonumber(ARGV[HEAD + 2]) + 1, first)
local found = redis.call('LRANGE', log, from - first, from - first + tonumber(ARGV[HEAD + 3]) - 1)
table.insert(found, 1, from)
return found
