-- For the ledger. ARGV after the head: user ids. Returns {version, is here, time of entering, last heard of
-- ...}: three of each user, zeros for who is not remembered.
local reply = {version}
for index = HEAD + 1, #ARGV do
    local person = load_person(ARGV[index])
    table.insert(reply, person.shown ~= '' and 1 or 0)
    table.insert(reply, person.came)
    table.insert(reply, person.seen)
end
return reply
