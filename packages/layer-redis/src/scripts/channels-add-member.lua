-- Makes a worker queue a member of a group. KEYS: group, what gateways added to it; ARGV: queue, membership in ms.
local membership = tonumber(ARGV[2]) / 1000
join(KEYS[1], ARGV[1], membership, 0)
redis.call('ZREMRANGEBYSCORE', KEYS[2], 0, stamp(now - membership))
redis.call('ZADD', KEYS[2], stamp(now), ARGV[1])
redis.call('EXPIRE', KEYS[2], math.ceil(membership))
return 1
