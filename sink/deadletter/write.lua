-- KEYS: stream, usage, the letter's id key.
-- ARGV: limit in bytes, 1 to trim when full or 0, seconds to remember the id, then the letter's fields and values.
-- Returns outcome (0 written, 1 repeat, 2 full), length and bytes (0 for a repeat), letters and rows trimmed.
local stream, usage, id = KEYS[1], KEYS[2], KEYS[3]
local bound, trim, seconds = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3]

-- A repeat needs no room, so it is answered before anything that a full Redis refuses. Nothing may be written before the first
-- command that needs memory: after its first write Redis lets a script exceed maxmemory.
if redis.call('GET', id) then
  redis.call('EXPIRE', id, seconds)
  return {1, 0, 0, 0, 0}
end

local length, bytes = used(stream, usage, false)
local fields = {unpack(ARGV, 4)}
local size = size_of(fields)
if length > 0 and bytes + size > bound and not trim then
  return {2, length, bytes, 0, 0}
end

local letters, rows = 0, 0
while length > 0 and bytes + size > bound do
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', stream, oldest[1])
  for i = 1, #oldest[2], 2 do
    if oldest[2][i] == 'rows' then
      rows = rows + (tonumber(oldest[2][i + 1]) or 0)
    end
  end
  bytes = math.max(0, bytes - size_of(oldest[2]))
  length = length - 1
  letters = letters + 1
end

-- The id comes last: a script that fails between the two may double a letter, never lose one.
local at = redis.call('XADD', stream, '*', unpack(fields))
redis.call('SET', id, at, 'EX', seconds)
length, bytes = length + 1, bytes + size
remember(usage, length, bytes)
return {0, length, bytes, letters, rows}
