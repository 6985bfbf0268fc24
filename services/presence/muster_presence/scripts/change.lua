-- ARGV after the head: an array in MessagePack, for each step: verb, user, device, sequence (20 digits), away, role
-- (0: as before), name, seat, activity ('=' as before, '-' none, '+'), its message, its key, flags (1: it is shared,
-- 2: friends see it, 4: the place is to be kept, 8: the presence is wanted, 16: the line is), holder, time of
-- entering, cause, the device's line ('' as before).
-- Returns {next due, presences and lines that were wanted, facts, outcome and time of entering of each step}.
local TAKEN, LATE, ABSENT, TO_BE_KEPT = 0, 1, 2, 3
local NONE = string.rep('0', 20)
local STEP, KEEP_PLACE_MS = 16, 60000

local function make_room(person)
    local total, least, least_id = 0, nil, nil
    for device_id, device in pairs(person.d) do
        total = total + 1
        local is_less = not least or device.gone < least or (device.gone == least and device_id < least_id)
        if is_less then least, least_id = device.gone, device_id end
    end
    if total >= MOST_DEVICES then person.d[least_id] = nil end
end

local function add(person, step, device)
    local old = person.d[step.device_id]
    person.d[step.device_id] = nil
    device.q = step.sequence
    if old and old.q > device.q then device.q = old.q end
    make_room(person)
    person.d[step.device_id] = device
    return device
end

local function close(device, holder)
    if not device or not device.h[holder] then return ABSENT end
    device.h[holder] = nil
    local kept = now
    for _, held in pairs(device.h) do kept = math.max(kept, held) end
    local _, _, own_grace = line_of(device)
    device.stale, device.gone = kept + own_grace, kept + own_grace
    return TAKEN
end

local function leave(person, step, is_here)
    if not is_here and step.sequence == NONE then return ABSENT end
    local gone = now + memory
    add(person, step, {stale = gone, gone = gone, left = true, away = false, h = {}, said = 0})
    if is_here then person.seen = now end
    return TAKEN
end

local function speak(person, device, step)
    local spoken = speaker(person)
    local start = spoken and spoken.k == step.key and spoken.b or now
    device.a, device.k, device.b, device.pub, device.fr, device.said = nil, nil, nil, nil, nil, 0
    if step.activity == '-' then return end
    person.said = person.said + 1
    device.a, device.k, device.b, device.pub = step.packed, step.key, start, step.is_shared
    device.fr = step.is_friendly or nil
    device.said = person.said
end

-- Whoever holds the device learns with the next renewal what it does, to tell an index that has lost it.
local function tell_holders(device)
    device.n = {}
    for holder in pairs(device.h) do device.n[holder] = true end
end

local function be_here(person, step, is_new)
    local device = person.d[step.device_id]
    if is_new then device = add(person, step, {stale = 0, gone = 0, away = false, h = {}, said = 0}) end
    if step.sequence > device.q then device.q = step.sequence end
    local is_said = is_new or step.verb ~= 'renew'
    if is_said and step.role > 0 then
        local name = step.name ~= '' and step.name or person.who.n
        person.who = {n = name, r = step.role, s = step.seat}
    end
    if is_said then
        local was_away, activity = device.away, device.a
        device.away = step.is_away
        if step.activity ~= '=' then speak(person, device, step) end
        if device.away ~= was_away or device.a ~= activity then tell_holders(device) end
    end
    if is_said and step.line then device.l = step.line ~= 'main::' and step.line or nil end
    local name, own_stale, own_grace = line_of(device)
    if step.verb == 'hold' or step.verb == 'renew' then
        device.h[step.holder] = now + lease
        device.gone = math.max(device.gone, now + lease + own_grace)
        device.stale = device.gone
    else
        device.stale = math.max(device.stale, now + own_stale)
        device.gone = math.max(device.gone, device.stale + own_grace)
    end
    person.seen = now
    if step.verb ~= 'renew' and not step.is_away then person.act, acted[name] = now, true end
    -- Where the device is, is kept elsewhere, and need not be said again with every beat.
    if not step.keeps_place or now < (device.kept or 0) + KEEP_PLACE_MS then return TAKEN end
    device.kept = now
    return TO_BE_KEPT
end

-- Streams need nobody's beats; of devices without one it was the one last heard of.
local function call(person)
    local latest, latest_id, is_held
    for device_id, device in pairs(person.d) do
        if not device.left and device.gone > now then
            is_held = is_held or next(device.h) ~= nil
            local is_later = not latest or device.stale > latest.stale
            if is_later or (device.stale == latest.stale and device_id > latest_id) then
                latest, latest_id = device, device_id
            end
        end
    end
    if not latest then return ABSENT end
    local name, own_stale, own_grace = line_of(latest)
    if not is_held then
        latest.stale = math.max(latest.stale, now + own_stale)
        latest.gone = math.max(latest.gone, latest.stale + own_grace)
    end
    person.seen, person.act, acted[name] = now, now, true
    return TAKEN
end

local SPEAKING = {beat = true, touch = true, hold = true}

-- Whether a device says again what is known of it, and nothing of its person has run out: there is nothing for
-- others to see then, which is so with nearly all beats.
local function says_nothing_new(person, step)
    local device, who = person.d[step.device_id], person.who
    if not device or device.left or not SPEAKING[step.verb] or step.activity ~= '=' then return false end
    if device.away ~= step.is_away or (step.line and step.line ~= (device.l or 'main::')) then return false end
    if step.role > 0 then
        if step.role ~= who.r or step.seat ~= who.s then return false end
        if step.name ~= '' and step.name ~= who.n then return false end
    end
    for _, each in pairs(person.d) do
        if each.stale <= now then return false end
    end
    return true
end

local function apply(person, step)
    if step.verb == 'call' then return call(person) end
    local device = person.d[step.device_id]
    if step.verb == 'close' then return close(device, step.holder) end
    if device and step.sequence ~= NONE and step.sequence < device.q then return LATE end
    local is_here = device ~= nil and not device.left
    if step.verb == 'leave' then return leave(person, step, is_here) end
    if step.verb == 'touch' and not is_here then return ABSENT end
    if step.verb == 'renew' and device and device.left then return ABSENT end
    return be_here(person, step, not is_here)
end

local said, reply, wanted = cmsgpack.unpack(ARGV[HEAD + 1]), {}, {}
for at = 1, #said, STEP do
    local flags = said[at + 11]
    local step = {
        verb = said[at], user_id = said[at + 1], device_id = said[at + 2], sequence = said[at + 3],
        is_away = said[at + 4], role = said[at + 5], name = said[at + 6], seat = said[at + 7],
        activity = said[at + 8], packed = said[at + 9], key = said[at + 10], is_shared = flags % 2 == 1,
        is_friendly = flags % 4 >= 2, keeps_place = flags % 8 >= 4, holder = said[at + 12],
        line = said[at + 15] ~= '' and said[at + 15] or nil,
    }
    local person = load_person(step.user_id)
    local is_known = says_nothing_new(person, step)
    local outcome = apply(person, step)
    local is_taken = outcome == TAKEN or outcome == TO_BE_KEPT
    if is_taken and is_known then
        forget_past(person)
        save(step.user_id, person)
    elseif is_taken then
        local cause = step.verb == 'leave' and said[at + 14] or VANISHED
        settle(step.user_id, person, cause, said[at + 13])
    end
    if flags >= 16 then
        local device = is_taken and person.d[step.device_id]
        table.insert(wanted, device and (device.l or 'main::') or '')
    elseif flags >= 8 then
        local device = speaker(person)
        local is_seen = is_taken and person.shown ~= ''
        table.insert(wanted, is_seen and presence(step.user_id, person, device and activity_of(device) or '') or '')
    end
    table.insert(reply, outcome)
    table.insert(reply, person.came)
end
return {finish(), wanted, facts, reply}
