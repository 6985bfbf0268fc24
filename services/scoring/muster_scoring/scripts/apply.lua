-- ARGV: channel, message, where its changes begin, milliseconds to keep the board. The message has first and
-- last seq (8 bytes each), and lines. Returns {done, rank before, rank after, ...} (0: none) in the order of
-- the lines, or nothing when the board has to be loaded first.
-- Whoever watches is told in any case: they have boards of their own.
redis.call('PUBLISH', ARGV[1], ARGV[2])
local done = done_seq()
if not done then return nil end

local function rank(order, entry_id)
    if order == '' then return 0 end
    return redis.call('ZRANK', places, order .. entry_id) + 1
end

local message = ARGV[2]
local first, last, at = struct.unpack('>I8I8', message, ARGV[3])
local reply = {done}
each_line(message, at, function(entry_id, version, order, packed)
    local _, old_order = unpack_line(redis.call('HGET', lines, entry_id))
    local before = rank(old_order, entry_id)
    local _, new_order = put(entry_id, version, order, packed)
    table.insert(reply, before)
    table.insert(reply, new_order == old_order and before or rank(new_order, entry_id))
end)
reply[1] = advance(done, first, last)
keep(reply[1], ARGV[4])
return reply
