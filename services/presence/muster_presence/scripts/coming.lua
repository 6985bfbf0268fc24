-- For the ledger. ARGV after the head: number after which to begin, most people. Returns {version, number to
-- go on after (0: no more), fact, fact ...} of who is here, in order of coming; facts as those that changes
-- tell.
local found = redis.call('ZRANGEBYSCORE', order, '(' .. ARGV[HEAD + 1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[HEAD + 2])
for index = 1, #found, 2 do note(found[index], load_person(found[index]), 0, 0) end
local next_after = #found == 2 * tonumber(ARGV[HEAD + 2]) and tonumber(found[#found]) or 0
return {version, next_after, facts}
