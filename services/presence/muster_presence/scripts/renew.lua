-- ARGV after the head: holder, and an array in MessagePack of user and device of each. Returns which of these have
-- to be held anew, counted from 0: they have left, or it is not known that the holder has them. So has a device of
-- which the place was kept long ago: that is elsewhere, is not for ever, and may have been lost.
local KEEP_PLACE_AGAIN_MS = 1800000
local holder, held, lost = ARGV[HEAD + 1], cmsgpack.unpack(ARGV[HEAD + 2]), {}
for at = 1, #held, 2 do
    local person = load_person(held[at])
    local device = person.d[held[at + 1]]
    local is_placed = device and now < (device.kept or now) + KEEP_PLACE_AGAIN_MS
    if is_placed and device.h[holder] and device.stale > now then
        device.h[holder] = now + lease
        local _, _, own_grace = line_of(device)
        device.gone = math.max(device.gone, now + lease + own_grace)
        device.stale = device.gone
        person.seen = now
        save(held[at], person)
    else
        table.insert(lost, (at - 1) / 2)
    end
end
finish()
return lost
