-- ARGV after the head: number after which to begin, most people, most to look at, 1 with staff, kind and
-- target of the activity ('' for any). Returns {exists, seq, number to go on after (0: no more), presence,
-- number, presence, number ...} in order of coming.
local with_staff, kind, target = ARGV[HEAD + 4] == '1', ARGV[HEAD + 5], ARGV[HEAD + 6]
local limit, after = tonumber(ARGV[HEAD + 2]), ARGV[HEAD + 1]
local exists = redis.call('EXISTS', state)
local found = redis.call('ZRANGEBYSCORE', order, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[HEAD + 3])
local reply, taken, last = {exists, seq, 0}, 0, 0

local function fits(person, device)
    if person.who.r == STAFF and not with_staff then return false end
    if kind == '' and target == '' then return true end
    if not device then return false end
    local at = string.find(device.k, '\0', 1, true)
    return (kind == '' or kind == string.sub(device.k, 1, at - 1))
        and (target == '' or target == string.sub(device.k, at + 1))
end

for index = 1, #found, 2 do
    if taken == limit then break end
    last = tonumber(found[index + 1])
    local person = load_person(found[index])
    local device = speaker(person)
    if device and not device.pub then device = nil end
    if fits(person, device) then
        table.insert(reply, presence(found[index], person, device and activity_of(device) or ''))
        table.insert(reply, last)
        taken = taken + 1
    end
end
if #found > 0 and (taken == limit or #found == 2 * tonumber(ARGV[HEAD + 3])) then reply[3] = last end
return reply
