-- Makes a worker queue a member again where its membership was lost. KEYS: members; ARGV: queue, expiry in ms, how long the membership lasts, in ms.
-- 1, or 0 where it has been ended.
local now = string.format('%.0f', milliseconds())
if redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1]) == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
for _, queue in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')) do
  if queue == ARGV[1] then return 1 end
end
return 0
