-- ARGV after the head: holder, and an array in MessagePack of user and device of each. Returns which of these have
-- to be held anew, counted from 0: they have left, or it is not known that the holder has them. So has a device of
-- which the place was kept long ago: that is elsewhere, is not for ever, and may have been lost. And of those that
-- have said what they do since the holder was last told: number, away, message, key, 1 when it is shared plus 2 when
-- friends see it.
local KEEP_PLACE_AGAIN_MS = 1800000
local holder, held, lost, doings = ARGV[HEAD + 1], cmsgpack.unpack(ARGV[HEAD + 2]), {}, {}
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
        if device.n and device.n[holder] then
            device.n[holder] = nil
            local audience = (device.pub and 1 or 0) + (device.fr and 2 or 0)
            table.insert(doings, {(at - 1) / 2, device.away and 1 or 0, device.a or '', device.k or '', audience})
        end
        save(held[at], person)
    else
        table.insert(lost, (at - 1) / 2)
    end
end
finish()
return {lost, doings}
