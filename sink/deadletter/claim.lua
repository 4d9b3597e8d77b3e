-- KEYS: stream, the letter's claim. ARGV: stream id of the letter, our token, milliseconds.
-- Returns the holder's token if somebody else has the claim, 'gone' if the letter is not there, else ''. It is safe to repeat.
local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[2] then
  return held
end
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 'gone'
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return ''
