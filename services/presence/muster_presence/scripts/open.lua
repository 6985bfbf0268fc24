-- ARGV after the head: 1 when a scope in which nobody was begins a life. Returns {epoch, seq, first seq}
-- or nothing.
if ARGV[HEAD + 1] ~= '1' and redis.call('EXISTS', state) == 0 then return nil end
-- A server that was restarted, or has taken another's place, may remember less than was told: there is no
-- going on behind what it does not know of, so who watches starts over. Facts of the ledger do not fall back.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local known = redis.call('HGET', state, 'run')
if known ~= run then
    if known then epoch, version = new_epoch, math.max(version + 1, now) end
    redis.call('HSET', state, 'run', run)
end
finish()
return {epoch, seq, seq - redis.call('LLEN', log) + 1}
