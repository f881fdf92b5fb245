-- Reads the history of a room, newest first. KEYS: {<prefix>:room:<room>}:history; ARGV: -, size and age as for publish.lua, the entry id to read down
-- from, how many at most. The epoch, the newest offset, and the entries.
if known[5] ~= ARGV[2] or known[6] ~= ARGV[3] then redis.call('HSET', beside, 'size', size, 'age', age) end
redis.call('PEXPIRE', beside, age + KEPT_BESIDE)
local count = tonumber(ARGV[5])
local entries = count > 0 and redis.call('XREVRANGE', KEYS[1], ARGV[4], oldest(), 'COUNT', count) or {}
return { epoch, whole(offset), entries }
