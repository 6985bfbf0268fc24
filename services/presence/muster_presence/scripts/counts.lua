-- Returns {exists, version, field, count, field, count ...}: 'p' or 'd', role and state (a byte each), key.
local reply = redis.call('HGETALL', counts)
table.insert(reply, 1, version)
table.insert(reply, 1, redis.call('EXISTS', state))
return reply
