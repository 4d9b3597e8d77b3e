-- KEYS: owned records, what is wanted of this log, what was taken from it. ARGV: log, who that is.
-- Returns the mark of the records, the fields of the producers that are wanted with epoch and time, the fields of those taken with where from,
-- and the time.
redis.call('HSET', KEYS[1], '@' .. ARGV[1], string.format('%.0f', now()) .. ' ' .. ARGV[2])
local mark = seen(KEYS[1])
local wanted = redis.call('HGETALL', KEYS[2])
if #wanted > 0 then
  redis.call('DEL', KEYS[2])
end
return {mark, wanted, redis.call('HGETALL', KEYS[3]), string.format('%.0f', now())}
