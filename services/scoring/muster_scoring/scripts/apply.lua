-- ARGV: channel, message, where its changes begin, milliseconds to keep the board, 1 when ranks are wanted.
-- The message has first and last seq (8 bytes each), and lines. Returns {done, ranks}, or nothing when the
-- board has to be loaded first; the ranks are those before and after (4 bytes each, 0: none), in the order of
-- the lines. One text is read many times faster than as many numbers.
-- Whoever watches is told in any case: they have boards of their own.
redis.call('PUBLISH', ARGV[1], ARGV[2])
local done = done_seq()
if not done then return nil end

local message = ARGV[2]
local first, last, at = struct.unpack('>I8I8', message, ARGV[3])

-- A board that begins anew, as its first line tells, is emptied: what others have yet to apply of its past must
-- not come back. What may be of the time since is not sorted out here: the board is loaded then.
local floor = unpack_line(redis.call('HGET', lines, FLOOR))
if at <= #message then
    local version, _, id_size = struct.unpack('>I8BI2', message, at)
    if id_size == 0 and version > floor then
        local epoch = redis.call('HGET', lines, EPOCH)
        local is_next = first <= done and redis.call('EXISTS', early) == 0
        redis.call('UNLINK', places, lines, early)
        if not is_next then return nil end
        redis.call('HSET', lines, EPOCH, epoch)
        put(FLOOR, version, '', '', '')
        floor = version
    end
end

local function rank(order, entry_id)
    if order == '' then return 0 end
    return redis.call('ZRANK', places, order .. entry_id) + 1
end

local is_ranked, ranks = ARGV[5] == '1', {}
each_line(message, at, function(entry_id, version, order, packed)
    local old_version, old_order = unpack_line(redis.call('HGET', lines, entry_id))
    local before = is_ranked and rank(old_order, entry_id)
    local after = before
    if version > old_version and version > floor then
        put(entry_id, version, old_order, order, packed)
        if is_ranked and order ~= old_order then after = rank(order, entry_id) end
    end
    if is_ranked then table.insert(ranks, struct.pack('>I4I4', before, after)) end
end)
done = advance(done, first, last)
keep(done, ARGV[4])
return {done, table.concat(ranks)}
