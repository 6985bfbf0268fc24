-- For the ledger. ARGV after the head: user ids. Returns {version, next due (0: never), is here, time of
-- entering, last heard of ...}: three of each user, zeros for who is not remembered.
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
local reply = {version, first[2] and tonumber(first[2]) or 0}
for index = HEAD + 1, #ARGV do
    local person = load_person(ARGV[index])
    table.insert(reply, person.shown ~= '' and 1 or 0)
    table.insert(reply, person.came)
    table.insert(reply, person.seen)
end
return reply
