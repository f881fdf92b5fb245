-- Ends the membership of a worker queue. KEYS: members; ARGV: queue, expiry in ms.
-- It stays with its end: a process that was away, and had added it, is to see that it was ended and not lost.
redis.call('ZADD', KEYS[1], string.format('%.0f', milliseconds()), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
