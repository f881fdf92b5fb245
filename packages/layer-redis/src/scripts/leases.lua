-- The list of leases, each with a time before which it was not over. KEYS: <prefix>:leases; ARGV: '', a lease and for how many ms it lasts; or pairs of a lease
-- and what lease-look.lua says of it. Those that may be over now.
local list, now = KEYS[1], milliseconds()
if ARGV[1] == '' then
  redis.call('ZADD', list, string.format('%.0f', now + ARGV[3]), ARGV[2])
else
  for index = 1, #ARGV, 2 do
    local score = tonumber(redis.call('ZSCORE', list, ARGV[index]))
    if ARGV[index + 1] == 'gone' then
      -- One that was granted anew meanwhile stays.
      if score and score <= now then redis.call('ZREM', list, ARGV[index]) end
    elseif score and ARGV[index + 1] ~= 'over' then
      redis.call('ZADD', list, ARGV[index + 1], ARGV[index])
    end
  end
end
redis.call('PEXPIRE', list, 8 * 86400000)
return redis.call('ZRANGE', list, '-inf', string.format('%.0f', now), 'BYSCORE')
