-- ARGV after the head: most people to look at. Returns {next due, facts}.
local found = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[HEAD + 1]))
for _, user_id in ipairs(found) do settle(user_id, load_person(user_id), VANISHED, 0) end
return {finish(), facts}
