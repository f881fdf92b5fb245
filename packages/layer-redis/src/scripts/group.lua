-- Publishes to a group once and tells which worker queues are members. KEYS: members; ARGV: PUBLISH or SPUBLISH, channel, message.
redis.call(ARGV[1], ARGV[2], ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
return redis.call('ZRANGE', KEYS[1], '(' .. string.format('%.0f', milliseconds()), '+inf', 'BYSCORE')
