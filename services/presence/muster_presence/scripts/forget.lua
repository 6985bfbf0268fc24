-- ARGV after the head: user id. Returns {next due, facts}. All devices have left, as after a goodbye: so
-- streams that are still open do not bring the person back.
local REMOVED, user_id = 3, ARGV[HEAD + 1]
if redis.call('EXISTS', state) == 0 then return {0, facts} end
if redis.call('HEXISTS', people, user_id) == 1 then
    local person = load_person(user_id)
    local gone = now + memory
    for device_id, device in pairs(person.d) do
        person.d[device_id] = {
            q = device.q, stale = gone, gone = gone, left = true, away = false, h = {}, said = 0,
        }
    end
    settle(user_id, person, REMOVED, 0)
    person.who = {n = '', r = person.who.r, s = ''}
    if redis.call('HEXISTS', people, user_id) == 1 then
        redis.call('HSET', people, user_id, cmsgpack.pack(person))
    end
end
local next_due = finish()
-- What was told of them is not to be read again: who watches starts over.
redis.call('DEL', log)
redis.call('HSET', state, 'epoch', new_epoch)
return {next_due, facts}
