-- ARGV: channel, message for it, seq that the lines are of, milliseconds to keep the board, the lines. What
-- the board holds of later changes stays.
local seq = tonumber(ARGV[3])
local done = done_seq()
local newer = {}
local held = redis.call('HGETALL', lines)
for i = 1, #held, 2 do
    local version, order = 0, ''
    if string.byte(held[i]) ~= 0 then version, order = unpack_line(held[i + 1]) end
    if version > seq then
        table.insert(newer, {held[i], version, order, string.sub(held[i + 1], 10 + #order)})
    end
end
redis.call('DEL', places, lines)
each_line(ARGV[5], 1, put)
for _, line in ipairs(newer) do put(line[1], line[2], line[3], line[4]) end
-- A board that was complete beyond the snapshot still is: all it had of it was kept.
keep(advance(math.max(seq, done or 0), 0, seq), ARGV[4])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
