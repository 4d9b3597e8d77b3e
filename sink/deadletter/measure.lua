-- KEYS: stream, usage. ARGV: 1 to measure or 0 to trust the last count, limit in bytes, bytes of an entry's fields.
-- Returns length, bytes, and 1 if there is room for that entry, else 0.
local length, bytes = used(KEYS[1], KEYS[2], ARGV[1] == '1')
local room = 0
if length == 0 or bytes + memory_of(tonumber(ARGV[3])) <= tonumber(ARGV[2]) then
  room = 1
end
return {length, bytes, room}
