-- ARGV after the head: user ids. Returns {presence, since when of its activity, presence ...} as friends see
-- it; '' for who is not here, and in a room for who does nothing there that is for friends.
local reply = {}
for index = HEAD + 1, #ARGV do
    local person = load_person(ARGV[index])
    local device = speaker(person)
    if not for_friends(device) then device = nil end
    local is_seen = person.shown ~= '' and (is_home or device)
    table.insert(reply, is_seen and presence(ARGV[index], person, device and activity_of(device) or '') or '')
    table.insert(reply, device and device.b or 0)
end
return reply
