-- Gives a producer up. KEYS: owned records, the producer's left record. ARGV: field, revision of the record, JSON of the new one, milliseconds to
-- keep it; 0 deletes it. Returns 1, or 0 if the record is another.
local text = record(KEYS[1], KEYS[2], ARGV[1])
if revision(text) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
if ARGV[4] ~= '0' then
  local _, json = successor(text, ARGV[3])
  redis.call('SET', KEYS[2], json, 'PX', ARGV[4])
end
return 1
