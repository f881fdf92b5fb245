-- Keeps a record of a set, in the place of the one with its key. KEYS: {<prefix>:record:<set>}:ends, a sorted set of the keys by when they end, and {…}:values.
-- ARGV: the key, for how many ms, the record.
local ends, values, now = KEYS[1], KEYS[2], milliseconds()
for _, key in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', ends, key)
  redis.call('HDEL', values, key)
end
redis.call('ZADD', ends, string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('HSET', values, ARGV[1], ARGV[3])
local last = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
for _, key in ipairs({ ends, values }) do redis.call('PEXPIREAT', key, string.format('%.0f', last)) end
