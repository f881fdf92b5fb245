-- Appends to the history of a room, trims it and publishes, in one step. KEYS: {<prefix>:room:<room>}:history; ARGV: payload, and for gateways
-- how many messages are kept and for how many ms. The position, <epoch>:<offset>.
local previous = offset
offset = offset + 1
last = math.max(now, last)
redis.call('XADD', KEYS[1], 'MAXLEN', '=', size, whole(last) .. '-' .. whole(offset), 'p', ARGV[1])
redis.call('XTRIM', KEYS[1], 'MINID', '=', oldest())
redis.call('PEXPIRE', KEYS[1], age)
redis.call('HSET', beside, 'offset', whole(offset), 'last', whole(last), 'size', size, 'age', age)
redis.call('PEXPIRE', beside, age + KEPT_BESIDE)
local position = epoch .. ':' .. whole(offset)
local message = position .. ':' .. whole(previous) .. '\n' .. ARGV[1]
local sharded = string.find(server, 'redis_mode:cluster', 1, true) and redis.pcall('SPUBLISH', room .. ':live', message)
-- A cluster before Redis 7 has no SPUBLISH.
if not sharded or type(sharded) == 'table' then redis.call('PUBLISH', room .. ':live', message) end
return position
