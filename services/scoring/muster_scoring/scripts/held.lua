-- Returns {done, epoch}.
local done = done_seq()
if not done then return nil end
return {done, redis.call('HGET', lines, EPOCH)}
