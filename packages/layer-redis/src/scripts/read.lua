-- Reads the history of a room, newest first. KEYS: {<prefix>:room:<room>}:history; ARGV: -, size, age and run_id as for publish.lua, the entry id to
-- read down from, how many at most. The epoch, the newest offset, and the entries.
if known[5] ~= size or known[6] ~= age then call('HSET', beside, 'size', size, 'age', age) end
call('PEXPIRE', beside, age + UPKEEP + KEPT_BESIDE)
local count = tonumber(ARGV[6])
local entries = count > 0 and call('XREVRANGE', KEYS[1], ARGV[5], oldest(), 'COUNT', count) or {}
return { epoch, offset, entries }
