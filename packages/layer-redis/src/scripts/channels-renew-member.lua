-- Makes a worker queue a member again where its membership was lost. KEYS: group, what gateways added to it; ARGV: queue, membership in ms, how long it
-- still lasts, in ms. 1, or 0 where it has been ended: what a gateway added and Redis has not lost stands in the second key, whoever took it out of the first.
-- By nothing, where it is there: tells whether it is.
local function has(key) return redis.call('ZADD', key, 'XX', 'INCR', 0, ARGV[1]) end
if has(KEYS[1]) then return 1 end
if has(KEYS[2]) then return 0 end
local membership = tonumber(ARGV[2]) / 1000
join(KEYS[1], ARGV[1], membership, membership - tonumber(ARGV[3]) / 1000)
redis.call('ZADD', KEYS[2], stamp(now), ARGV[1])
redis.call('EXPIRE', KEYS[2], math.ceil(membership))
return 1
