-- Makes a lease. ARGV: how long it lasts, in ms.
redis.call('DEL', state, records)
redis.call('HSET', state, 'ends', string.format('%.0f', now + ARGV[1]))
keep(ARGV[1] + KEPT)
return 'done'
