-- KEYS: stream, usage, the letter's claim. ARGV: stream id of the letter, our token, 1 to remove it whoever has the claim or 0.
-- Returns the holder's token if that is somebody else, 'gone' if the letter is not there, else ''. The letter's id key stays: it
-- keeps a late write from bringing the letter back.
local stream, usage, claim = KEYS[1], KEYS[2], KEYS[3]
local held = redis.call('GET', claim)
if held and held ~= ARGV[2] and ARGV[3] ~= '1' then
  return held
end
local entry = redis.call('XRANGE', stream, ARGV[1], ARGV[1])[1]
if entry then
  local length, bytes = used(stream, usage, false)
  redis.call('XDEL', stream, ARGV[1])
  remember(usage, length - 1, math.max(0, bytes - size_of(entry[2])))
end
if held == ARGV[2] then
  redis.call('DEL', claim)
end
if entry then
  return ''
end
return 'gone'
