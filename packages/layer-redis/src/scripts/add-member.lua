-- Makes a worker queue a member of a group. KEYS: members; ARGV: queue, expiry in ms.
redis.call('ZADD', KEYS[1], string.format('%.0f', milliseconds() + tonumber(ARGV[2])), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
