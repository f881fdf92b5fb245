-- Sends to one queue of channels_redis's core layer, by this server's clock, in one step. KEYS: queue; ARGV: element, capacity, expiry in ms. 1, or 0: full.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.6f', now - tonumber(ARGV[3]) / 1000))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then now = math.max(now, tonumber(last) + 0.000001) end
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3]) / 1000))
return 1
