-- Makes a worker queue a member of a group. KEYS: members; ARGV: queue, expiry in ms.
local now, expiry = milliseconds(), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - expiry))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + expiry), ARGV[1])
redis.call('PEXPIRE', KEYS[1], expiry)
return 1
