-- Publishes to a group once and tells which worker queues are members. KEYS: members; ARGV: PUBLISH or SPUBLISH, channel, message.
-- The members first: where the key holds something else nothing is published.
local members = {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  members = redis.call('ZRANGE', KEYS[1], '(' .. string.format('%.0f', milliseconds()), '+inf', 'BYSCORE')
end
redis.call(ARGV[1], ARGV[2], ARGV[3])
return members
