-- The members of a group of channels_redis's core layer whose membership has not ended. KEYS: group; ARGV: membership in ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.6f', now - tonumber(ARGV[1]) / 1000))
return redis.call('ZRANGE', KEYS[1], 0, -1)
