-- The stream's length and bytes: as last counted, or measured anew if the length shows that somebody else has changed the
-- stream, or on request.

-- Memory taken by so many bytes of fields. An entry of more than about 4 kB has its own allocation, and Redis's allocator has
-- four sizes between one power of two and the next.
local function memory_of(bytes)
  local size = bytes + 256
  if size <= 4096 then
    return size
  end
  local step = 1024
  while step * 8 < size do
    step = step * 2
  end
  return math.ceil(size / step) * step
end

local function size_of(fields)
  local bytes = 0
  for i = 1, #fields do
    bytes = bytes + #fields[i]
  end
  return memory_of(bytes)
end

-- For servers without MEMORY USAGE, or that do not let us use it.
local function sum_of(stream)
  local bytes, from = 0, '-'
  while true do
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 64)
    if #page == 0 then
      return bytes
    end
    for i = 1, #page do
      bytes = bytes + size_of(page[i][2])
    end
    from = '(' .. page[#page][1]
  end
end

local function remember(usage, length, bytes)
  redis.call('HSET', usage, 'length', string.format('%.0f', length), 'bytes', string.format('%.0f', bytes))
end

local function used(stream, usage, measure)
  local length = redis.call('XLEN', stream)
  local last = redis.call('HMGET', usage, 'length', 'bytes')
  local bytes = tonumber(last[2] or '')
  if bytes and tonumber(last[1] or '') == length and not measure then
    return length, bytes
  end
  bytes = redis.pcall('MEMORY', 'USAGE', stream, 'SAMPLES', '0')
  if type(bytes) == 'table' then
    bytes = sum_of(stream)
  end
  bytes = bytes or 0
  remember(usage, length, bytes)
  return length, bytes
end
