-- Renews a lease, also one that is over and that nobody has begun to settle. ARGV: how long it lasts from now, in ms.
if barred() then return barred() end
redis.call('HSET', state, 'ends', string.format('%.0f', now + ARGV[1]))
keep(ARGV[1] + KEPT)
return 'done'
