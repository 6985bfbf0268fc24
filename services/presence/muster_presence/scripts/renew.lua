-- ARGV after the head: holder, then user and device of each. Returns which of these have to be held anew, counted
-- from 0: they have left, or it is not known that the holder has them.
local holder, lost = ARGV[HEAD + 1], {}
for at = HEAD + 2, #ARGV, 2 do
    local person = load_person(ARGV[at])
    local device = person.d[ARGV[at + 1]]
    if device and device.h[holder] and device.stale > now then
        device.h[holder] = now + lease
        device.gone = math.max(device.gone, now + lease + grace)
        device.stale = device.gone
        person.seen = now
        save(ARGV[at], person)
    else
        table.insert(lost, (at - HEAD - 2) / 2)
    end
end
finish()
return lost
