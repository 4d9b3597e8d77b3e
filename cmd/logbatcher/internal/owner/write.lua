-- Writes the record of a producer that is owned, or released, in the place of another.
-- KEYS: owned records, the producer's left record, what was taken from the log that it was released from.
-- ARGV: field, revision of the record to replace, JSON of the new one, milliseconds that must have passed since Redis may have lost records
-- if there is none, what to tell the log that it was released from, or ''.
-- Returns the new revision; '' if the record is another; 'fresh' if those milliseconds have not passed.
local text = record(KEYS[1], KEYS[2], ARGV[1])
if revision(text) ~= ARGV[2] then
  return ''
end
local _, age = seen(KEYS[1])
if text == '' and age < tonumber(ARGV[4]) then
  return 'fresh'
end
local new, json = successor(text, ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], json)
redis.call('DEL', KEYS[2])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[5])
end
return new
