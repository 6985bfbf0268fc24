-- Returns {exists, version, field, count, field, count ...}: 'p' or 'd', role and state (a byte each), key; 'c' and the
-- name of a channel; 'l' and such a name, with when somebody last acted on it.
local reply = redis.call('HGETALL', counts)
local found = redis.call('HGETALL', state)
for index = 1, #found, 2 do
    if string.sub(found[index], 1, 1) == 'l' then
        table.insert(reply, found[index])
        table.insert(reply, found[index + 1])
    end
end
table.insert(reply, 1, version)
table.insert(reply, 1, redis.call('EXISTS', state))
return reply
