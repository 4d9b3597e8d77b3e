-- Redis's clock in microseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
-- This run of Redis: it changes with a restart or a failover, after which records may be missing.
local function run()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
end
-- The mark beside the records, "run microseconds": it goes with them when Redis loses them. It is made anew when it is missing or of another
-- run; then all owners write again what they own. Returns the mark and its age in milliseconds.
local function seen(owned)
  local mark, current, at = redis.call('HGET', owned, ''), run(), now()
  local since = mark and string.match(mark, '^' .. current .. ' (%d+)$')
  if not since then
    mark, since = current .. ' ' .. string.format('%.0f', at), at
    redis.call('HSET', owned, '', mark)
  end
  return mark, (at - since) / 1000
end
local function record(owned, left, field)
  return redis.call('HGET', owned, field) or redis.call('GET', left) or ''
end
local function revision(text)
  return string.match(text, '^%d+') or '0'
end
-- The text of a record in the place of another: "revision first json". The revision grows over lost records, too; first is the one of the
-- record that was written when there was none.
local function successor(text, json)
  local new = string.format('%.0f', math.max(now(), revision(text) + 1))
  local first = string.match(text, '^%d+ (%d+)') or new
  return new, new .. ' ' .. first .. ' ' .. json
end
