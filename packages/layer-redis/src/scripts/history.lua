-- Where the history of a room stands. Joined before publish.lua and read.lua. KEYS: {<prefix>:room:<room>}:history, and of gateways also
-- {<prefix>:room:<room>}:epoch, where its positions are kept for longer than its messages. ARGV, for gateways: how many messages are kept, for how
-- many ms, and this server's run_id ('': asked for).
if not string.match(KEYS[1] or '', '^{[%w_:@.-]+:room:[%w_:@.-]+}:history$') then
  return redis.error_reply('ERR the key of a history is {<prefix>:room:<room>}:history')
end
local UPKEEP, KEPT_BESIDE = 1000, 7 * 86400000
local call, format = redis.call, string.format
local room = string.sub(KEYS[1], 1, -9)
local beside = room .. ':epoch'
local run = ARGV[4]
if not run or run == '' then
  server = server or call('INFO', 'server')
  run = string.match(server, 'run_id:(%x+)')
end
local known = call('HMGET', beside, 'epoch', 'run', 'offset', 'last', 'size', 'age', 'kept')
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch, offset, last = known[1], known[3], known[4]
local size, age = ARGV[2] or known[5] or '1000', ARGV[3] or known[6] or '300000'

-- A server that is not the one that wrote last may have lost what came last: what it has is no longer this room's history.
if not epoch or known[2] ~= run then
  local kind = call('TYPE', KEYS[1]).ok
  if kind ~= 'none' and kind ~= 'stream' then return redis.error_reply('WRONGTYPE this key holds no history: nothing was done') end
  epoch = format('%x', now) .. format('%05x', time[2] % 1000000) .. string.sub(run, 1, 6)
  offset, last = '0', '0'
  -- In this order: a server out of memory refuses the first write of a script or none.
  call('HSET', beside, 'epoch', epoch, 'run', run, 'offset', 0, 'last', 0, 'kept', 0)
  call('DEL', KEYS[1])
  known[7] = '0'
end

-- The first entry id that has not expired.
local function oldest()
  return format('%.0f-0', now - age + 1)
end
