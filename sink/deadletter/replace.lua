-- Puts letters in the place of one that is claimed, and ends the claim.
-- KEYS: stream, usage, the letter's claim, the id key of each new letter.
-- ARGV: stream id of the letter, our token, seconds to remember ids, then for each new letter the number of its arguments and
-- its fields and values.
-- Returns the new letters' stream ids; none if the claim or the letter is not there any more.
local stream, usage, claim = KEYS[1], KEYS[2], KEYS[3]
if redis.call('GET', claim) ~= ARGV[2] then
  return {}
end
local entry = redis.call('XRANGE', stream, ARGV[1], ARGV[1])[1]
if not entry then
  return {}
end
local length, bytes = used(stream, usage, false)
local added, at = {}, 4
-- What needs memory comes first: after its first write Redis lets a script exceed maxmemory, so all of it is done or nothing.
for i = 4, #KEYS do
  local count = tonumber(ARGV[at])
  local fields = {unpack(ARGV, at + 1, at + count)}
  at = at + count + 1
  local id = redis.call('XADD', stream, '*', unpack(fields))
  redis.call('SET', KEYS[i], id, 'EX', ARGV[3])
  bytes = bytes + size_of(fields)
  length = length + 1
  added[#added + 1] = id
end
redis.call('XDEL', stream, ARGV[1])
redis.call('DEL', claim)
remember(usage, length - 1, math.max(0, bytes - size_of(entry[2])))
return added
