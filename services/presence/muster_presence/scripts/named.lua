-- ARGV after the head: 1 with staff, user ids. Returns {exists, presence, presence ...}; '' for who is not
-- here, or not for the viewer.
local reply = {redis.call('EXISTS', state)}
for index = HEAD + 2, #ARGV do
    local person = load_person(ARGV[index])
    local is_seen = person.shown ~= '' and (person.who.r ~= STAFF or ARGV[HEAD + 1] == '1')
    local device = speaker(person)
    local activity = device and device.pub and activity_of(device) or ''
    table.insert(reply, is_seen and presence(ARGV[index], person, activity) or '')
end
return reply
