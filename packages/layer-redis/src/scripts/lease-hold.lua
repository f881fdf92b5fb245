-- Writes records. ARGV: pairs of key and record.
if barred() then return barred() end
for from = 1, #ARGV, 1000 do redis.call('HSET', records, unpack(ARGV, from, math.min(from + 999, #ARGV))) end
redis.call('PEXPIRE', records, redis.call('PTTL', state))
return 'done'
