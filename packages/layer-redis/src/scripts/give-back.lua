-- Puts elements back at the head. KEYS: queue; ARGV: expiry in ms, then the elements, youngest first. Who waits for the queue is served after the last of them.
for index = 2, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[index]) end
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
