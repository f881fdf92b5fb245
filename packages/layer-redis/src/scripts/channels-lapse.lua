-- Removes from a queue what has waited there for too long. KEYS: queue; ARGV: expiry in ms.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now - tonumber(ARGV[1]) / 1000))
