-- KEYS: the letter's claim. ARGV: our token. Ends the claim if it is ours.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 0
