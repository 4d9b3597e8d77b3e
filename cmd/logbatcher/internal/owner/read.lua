-- KEYS: owned records, the producer's left record. ARGV: field. Returns the record or '', and who its owner is, or ''.
local text = record(KEYS[1], KEYS[2], ARGV[1])
local log = string.match(text, '"log":"([^"]+)"')
return {text, log and redis.call('HGET', KEYS[1], '@' .. log) or ''}
