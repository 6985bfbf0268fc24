-- ARGV: channel, message, first seq, last seq, milliseconds to keep the board; then for each line
-- entry id, version, order, packed entry. Returns {done, rank before, rank after, ...} (0: none), or
-- nothing when the board has to be loaded first.
-- Whoever watches is told in any case: they have boards of their own.
redis.call('PUBLISH', ARGV[1], ARGV[2])
local done = done_seq()
if not done then return nil end

local function rank(order, entry_id)
    if order == '' then return 0 end
    return redis.call('ZRANK', places, order .. entry_id) + 1
end

local reply = {done}
for i = 6, #ARGV, 4 do
    local entry_id = ARGV[i]
    local _, old_order = unpack_line(redis.call('HGET', lines, entry_id))
    local before = rank(old_order, entry_id)
    local _, order = put(entry_id, tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3])
    table.insert(reply, before)
    table.insert(reply, order == old_order and before or rank(order, entry_id))
end
reply[1] = advance(done, tonumber(ARGV[3]), tonumber(ARGV[4]))
keep(reply[1], ARGV[5])
return reply
