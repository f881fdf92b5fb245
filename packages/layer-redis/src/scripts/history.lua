-- Where the history of a room stands. Joined before publish.lua and read.lua; KEYS[1] is always {<prefix>:room:<room>}:history.
-- Its positions are kept beside it in {…}:epoch, for longer than its messages.
local KEPT_BESIDE = 7 * 86400000
local room = string.sub(KEYS[1], 1, -9)
local beside = room .. ':epoch'
local server = redis.call('INFO', 'server')
local run = string.match(server, 'run_id:(%x+)')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', beside, 'epoch', 'run', 'offset', 'last', 'size', 'age')
local epoch, offset, last = known[1], tonumber(known[3]), tonumber(known[4])
local size = tonumber(ARGV[2] or known[5] or 1000)
local age = tonumber(ARGV[3] or known[6] or 300000)

-- A server that is not the one that wrote last may have lost what came last: what it has is no longer this room's history.
if not epoch or known[2] ~= run then
  epoch = string.format('%x', now) .. string.format('%05x', time[2] % 1000000) .. string.sub(run, 1, 6)
  offset, last = 0, 0
  -- In this order: a server out of memory refuses the first write of a script or none.
  redis.call('HSET', beside, 'epoch', epoch, 'run', run, 'offset', 0, 'last', 0)
  redis.call('DEL', KEYS[1])
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The first entry id that has not expired.
local function oldest()
  return whole(now - age + 1) .. '-0'
end
