-- What all scripts of a scope share; put in front of each. Tests hold them against the same rules in Python.
--
-- KEYS[1] people: a hash from user id to what is known of them, in MessagePack (see below).
-- KEYS[2] due: a sorted set of user ids by when something of them runs out.
-- KEYS[3] order: a sorted set of the user ids of who is here, in order of coming.
-- KEYS[4] log: the newest events: size (4 bytes) and event as others than staff see it, none when they see
--         the same, and the event.
-- KEYS[5] state: a hash of epoch (8 bytes), seq, number of the last who came, version of the counts, and which
--         run of the server this is, as the last who watched found it.
-- KEYS[6] counts: a hash of how many people (p) and devices (d) have a role, a state and an activity; of how many
--         devices are on a channel (c) other than the main one.
--
-- A person has who {n=name, r=role, s=seat}, d (devices by id), said, came, act, seen (times), and while
-- they are here no (their number), shown (what others see of them), tally (what they count as) and lines (how
-- many devices are on other channels than the main one).
-- What friends alone see is friendly, absent for nothing: they are called when it changes.
-- A device has q (sequence), away, stale, gone, h (times by holder), n (holders to be told what it does),
-- a (activity), k (its key), b (since when), pub (whether it is shared), fr (whether friends see it wherever
-- it is), said, left, kept (when it was last said that its place is to be kept) and, unless all are as usual,
-- l: its channel, after how many milliseconds it is stale, and its grace, with colons between, and nothing for
-- a usual one.
--
-- ARGV begins with: now, scope (the contract's message), epoch for a new life, channel, channel of staff,
-- stale after, grace, stream lease, memory, events to keep, milliseconds to keep the scope, channel of
-- those who watch friends, 1 for the organization itself; what a script takes begins behind HEAD.
local HEAD = 13
local people, due, order, log, state, counts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now, scope, new_epoch, channel, staff_channel = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local stale_after, grace, lease = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local memory, log_size, keep_ms = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local bell, is_home = ARGV[12], ARGV[13] == '1'
local STAFF, OFFLINE, VANISHED, LEFT, MOST_DEVICES = 3, 4, 2, 1, 32

-- Protobuf, as far as it is needed.
local function varint(value)
    local text = ''
    while value >= 128 do
        text = text .. string.char(value % 128 + 128)
        value = math.floor(value / 128)
    end
    return text .. string.char(value)
end
local function number(field, value) return value == 0 and '' or varint(field * 8) .. varint(value) end
local function message(field, bytes) return varint(field * 8 + 2) .. varint(#bytes) .. bytes end
local function text(field, bytes) return bytes == '' and '' or message(field, bytes) end
local function time(field, ms)
    return message(field, number(1, math.floor(ms / 1000)) .. number(2, ms % 1000 * 1000000))
end

-- The scope's life: whatever is left of another one goes.
local epoch, seq, last_no, version
do
    local found = redis.call('HMGET', state, 'epoch', 'seq', 'no', 'version')
    epoch, seq = found[1], tonumber(found[2] or 0)
    last_no, version = tonumber(found[3] or 0), tonumber(found[4] or 0)
    if not epoch then
        redis.call('UNLINK', people, due, order, log, state, counts)
        -- Versions grow from life to life, as times do.
        epoch, seq, last_no, version = new_epoch, 0, 0, now
    end
end
local old_version, events, publics, facts, rung, acted = version, {}, {}, {}, {}, {}

-- A device's channel, after how long it is stale, and its grace.
local function line_of(device)
    if not device.l then return 'main', stale_after, grace end
    local name, own_stale, own_grace = string.match(device.l, '^(.-):(%d*):(%d*)$')
    return name, tonumber(own_stale) or stale_after, tonumber(own_grace) or grace
end

local function load_person(user_id)
    local packed = redis.call('HGET', people, user_id)
    if packed then return cmsgpack.unpack(packed) end
    return {who = {n = '', r = 1, s = ''}, d = {}, said = 0, came = 0, act = 0, seen = 0, shown = '', tally = ''}
end

-- The activity of the device that said so last: the device, or nothing.
local function speaker(person)
    local last
    for _, device in pairs(person.d) do
        if device.said > (last and last.said or 0) then last = device end
    end
    return last
end

local function activity_of(device) return message(7, device.a .. time(8, device.b)) end

local function person_state(person)
    local best = OFFLINE
    for _, device in pairs(person.d) do
        if not device.left and device.gone > now then
            local own = device.stale <= now and 3 or device.away and 2 or 1
            best = math.min(best, own)
        end
    end
    return best
end

local function device_count(person)
    local count = 0
    for _, device in pairs(person.d) do
        if not device.left then count = count + 1 end
    end
    return count
end

-- A Presence; `activity` is its field, or nothing.
local function presence(user_id, person, activity)
    local who = person.who
    return text(1, user_id) .. text(2, who.n) .. message(3, scope) .. number(4, who.r) .. text(5, who.s)
        .. number(6, person.state) .. activity .. number(8, device_count(person)) .. time(9, person.came)
        .. (person.act > 0 and time(10, person.act) or '') .. time(11, person.seen)
end

-- Append an event; public is what others than staff see of it, as (kind, bytes), nothing for the same.
local function emit(kind, bytes, public_kind, public_bytes)
    local head = number(1, seq + #events + 1) .. time(2, now)
    local event = head .. message(kind, bytes)
    local public = public_kind and head .. message(public_kind, public_bytes) or ''
    table.insert(events, event)
    table.insert(publics, public_kind and public or event)
    redis.call('RPUSH', log, struct.pack('>I4', #public) .. public .. event)
end

local function add_to(field, amount)
    if redis.call('HINCRBY', counts, field, amount) <= 0 then redis.call('HDEL', counts, field) end
end

local function count(tally, by)
    if tally == '' then return end
    local devices, combination = struct.unpack('>I2', tally), string.sub(tally, 3)
    add_to('p' .. combination, by)
    add_to('d' .. combination, by * devices)
    version = version + 1
end

-- Devices on other channels than the main one count there as well.
local function count_lines(person, is_here)
    local found
    if is_here then
        for _, device in pairs(person.d) do
            local name = device.l and not device.left and line_of(device) or 'main'
            if name ~= 'main' then
                found = found or {}
                found[name] = (found[name] or 0) + 1
            end
        end
    end
    for name, amount in pairs(person.lines or {}) do add_to('c' .. name, -amount) end
    for name, amount in pairs(found or {}) do add_to('c' .. name, amount) end
    person.lines = found
end

local function forget_past(person)
    for device_id, device in pairs(person.d) do
        if device.gone <= now then
            person.d[device_id] = nil
        else
            local _, _, own_grace = line_of(device)
            for holder, held in pairs(device.h) do
                if held + own_grace <= now then device.h[holder] = nil end
            end
        end
    end
end

local function hides(for_staff)
    if for_staff then return 13, '' end
    return nil
end

-- For the ledger; by the version it tells what of two facts is the newer one.
local function note(user_id, person, left, cause)
    local who = person.who
    table.insert(facts, {user_id, who.n, who.r, who.s, person.came, left, cause, person.act, version})
end

-- Friends see who is in the organization with whatever they do there, and what they do in a room if it is
-- for friends.
local function for_friends(device) return device and (is_home or device.fr) end

local function ring(user_id, person, is_here, has_changed)
    local device, friendly = is_here and speaker(person), nil
    if for_friends(device) and not (is_home and device.pub) then
        friendly = person.state .. activity_of(device)
    end
    if friendly ~= person.friendly or (is_home and has_changed) then table.insert(rung, user_id) end
    person.friendly = friendly
end

local function tell(user_id, person, cause, enter)
    local was_here, shown, activity, key = person.shown ~= '', '', '', ''
    local is_here = person.state ~= OFFLINE
    local for_staff = person.who.r == STAFF
    if is_here then
        local device = speaker(person)
        if device and device.pub then activity, key = activity_of(device), device.k end
        local who = person.who
        shown = table.concat({person.state, who.r, #who.n, who.n, #who.s, who.s, activity}, ':')
    end
    local tally = is_here and struct.pack('>I2BB', device_count(person), person.who.r, person.state) .. key or ''
    if tally ~= person.tally then
        count(person.tally, -1)
        count(tally, 1)
        person.tally = tally
    end
    count_lines(person, is_here)
    ring(user_id, person, is_here, shown ~= person.shown)
    if shown == person.shown then return end
    if is_here and not was_here then
        last_no = last_no + 1
        person.no, person.came = last_no, math.min(enter > 0 and enter or now, now)
        redis.call('ZADD', order, last_no, user_id)
        emit(10, message(1, presence(user_id, person, activity)), hides(for_staff))
        note(user_id, person, 0, 0)
    elseif is_here then
        local bytes = message(1, presence(user_id, person, activity))
        if for_staff == person.hid then
            emit(11, bytes, hides(for_staff))
        elseif for_staff then
            -- Whoever does not see them any more is told that they went.
            emit(11, bytes, 12, text(1, user_id) .. number(2, LEFT))
        else
            emit(11, bytes, 10, bytes)
        end
    else
        redis.call('ZREM', order, user_id)
        emit(12, text(1, user_id) .. number(2, cause), hides(person.hid))
        note(user_id, person, cause == VANISHED and person.seen or now, cause)
    end
    person.shown, person.hid = shown, for_staff
end

-- Keep a person until the last of their devices is forgotten.
local function save(user_id, person)
    local next_due
    for _, device in pairs(person.d) do
        local at = device.stale > now and device.stale or device.gone
        next_due = math.min(next_due or at, at)
    end
    if next_due then
        redis.call('HSET', people, user_id, cmsgpack.pack(person))
        redis.call('ZADD', due, next_due, user_id)
    else
        redis.call('HDEL', people, user_id)
        redis.call('ZREM', due, user_id)
    end
end

-- Let go of what has run out, tell what others see of it, and keep the rest.
local function settle(user_id, person, cause, enter)
    forget_past(person)
    person.state = person_state(person)
    tell(user_id, person, cause, enter)
    save(user_id, person)
end

local function packed_run(run_epoch, run)
    local parts = {'\1', run_epoch, struct.pack('>I8', seq + 1)}
    for _, event in ipairs(run) do table.insert(parts, message(1, event)) end
    return table.concat(parts)
end

-- The life that staff see has an epoch of its own: a cursor of one is none of the other.
local function staff_epoch() return string.sub(epoch, 1, 7) .. string.char(string.byte(epoch, 8) + 1) end

-- Tell who watches, and keep the scope; returns when something runs out, 0 for never.
local function finish()
    if #events > 0 then
        redis.call('LTRIM', log, -log_size, -1)
        redis.call('PUBLISH', channel, packed_run(epoch, publics))
        redis.call('PUBLISH', staff_channel, packed_run(staff_epoch(), events))
    end
    if version > old_version then
        -- Also for those who watch the counts alone.
        redis.call('PUBLISH', channel, '\2counts')
        redis.call('PUBLISH', staff_channel, '\2counts')
    end
    if #rung > 0 then redis.call('PUBLISH', bell, '\2p' .. table.concat(rung, '\0')) end
    if not is_home then
        for name in pairs(acted) do redis.call('HSET', state, 'l' .. name, now) end
    end
    redis.call('HSET', state, 'epoch', epoch, 'seq', seq + #events, 'no', last_no, 'version', version)
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep_ms) end
    local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
    return first[2] and tonumber(first[2]) or 0
end
