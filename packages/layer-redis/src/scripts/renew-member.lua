-- Makes a worker queue a member again where its membership was lost. KEYS: members; ARGV: queue, expiry in ms, how long the membership lasts, in ms.
-- 1, or 0 where it has been ended.
local now = string.format('%.0f', milliseconds())
if redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1]) == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
-- By nothing: tells its end.
return tonumber(redis.call('ZADD', KEYS[1], 'XX', 'INCR', 0, ARGV[1])) > tonumber(now) and 1 or 0
