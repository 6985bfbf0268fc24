-- ARGV after the head: 1 when a scope in which nobody was begins a life. Returns {epoch, seq, first seq}
-- or nothing.
if ARGV[HEAD + 1] ~= '1' and redis.call('EXISTS', state) == 0 then return nil end
finish()
return {epoch, seq, seq - redis.call('LLEN', log) + 1}
