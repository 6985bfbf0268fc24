-- What all scripts of boards share; put in front of each.
--
-- KEYS[1] places: a sorted set whose members sort as bytes (all scores are 0): order .. entry id.
-- KEYS[2] lines: a hash from entry id to version (8 bytes), order (24 bytes, or none when the entry is
--         not on the board) and the packed entry. Fields that begin with a NUL are the board's state.
-- KEYS[3] early: ranges of changes that came before others that must be applied first.
local places, lines, early = KEYS[1], KEYS[2], KEYS[3]
local DONE, SIZE, EPOCH = '\0done', '\0size', '\0epoch'
local ORDER = 24
-- The id of a line that is no entry: nothing of its version or before is on the board.
local FLOOR = ''

-- The change up to which the board is complete; nil when the board is not held, or only in part.
local function done_seq()
    local state = redis.call('HMGET', lines, DONE, SIZE)
    if not state[1] or redis.call('ZCARD', places) ~= tonumber(state[2]) then return nil end
    return tonumber(state[1])
end

local function unpack_line(stored)
    if not stored then return 0, '' end
    local version, size = struct.unpack('>I8B', stored)
    return version, string.sub(stored, 10, 9 + size)
end

-- Put a line in, in place of one with the order `old_order`.
local function put(entry_id, version, old_order, order, packed)
    if old_order ~= order then
        if old_order ~= '' then redis.call('ZREM', places, old_order .. entry_id) end
        if order ~= '' then redis.call('ZADD', places, 0, order .. entry_id) end
    end
    redis.call('HSET', lines, entry_id, struct.pack('>I8B', version, #order) .. order .. packed)
end

-- Note that all changes after first up to last are applied; returns up to where all are.
local function advance(done, first, last)
    if first > done then
        redis.call('ZADD', early, first, string.format('%.0f:%.0f', first, last))
        return done
    end
    done = math.max(done, last)
    while true do
        local range = redis.call('ZRANGE', early, 0, 0)[1]
        local from, to = string.match(range or '', '(%d+):(%d+)')
        if not from or tonumber(from) > done then return done end
        redis.call('ZREM', early, range)
        done = math.max(done, tonumber(to))
    end
end

-- Call a function with entry id, version, order and packed entry of every line in a message from `at` on:
-- version (8 bytes), size of the order, sizes of id and entry (2 and 4 bytes), id, order, entry.
local function each_line(message, at, take)
    while at <= #message do
        local version, order_size, id_size, packed_size, from = struct.unpack('>I8BI2I4', message, at)
        local order_at = from + id_size
        local packed_at = order_at + order_size
        at = packed_at + packed_size
        take(
            string.sub(message, from, order_at - 1), version,
            string.sub(message, order_at, packed_at - 1), string.sub(message, packed_at, at - 1)
        )
    end
end

local function keep(done, keep_ms)
    redis.call('HSET', lines, DONE, done, SIZE, redis.call('ZCARD', places))
    for _, key in ipairs({places, lines, early}) do redis.call('PEXPIRE', key, keep_ms) end
end

-- Lines from a rank (from 0) on, as {done, first rank from 1, entry count, id, line, id, line ...}.
local function slice(done, first, last)
    local found = redis.call('ZRANGE', places, first, last)
    local reply = {done, first + 1, redis.call('ZCARD', places)}
    for _, member in ipairs(found) do
        local entry_id = string.sub(member, ORDER + 1)
        table.insert(reply, entry_id)
        table.insert(reply, redis.call('HGET', lines, entry_id))
    end
    return reply
end
