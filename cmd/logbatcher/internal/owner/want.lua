-- KEYS: what is wanted of the owner's log. ARGV: field, epoch that wants it, milliseconds to remember it.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now()))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
