-- A gateway says that it lives. KEYS: hash of gateways; ARGV: its id, something that is another each time, seconds that the hash lives. 1 where it was not
-- there, then every gateway and what it said last.
local added = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return { added, redis.call('HGETALL', KEYS[1]) }
