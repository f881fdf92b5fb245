-- channels_redis's core layer in Redis: what the scripts of `wire: channels` share. Times are seconds of this server's clock.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
-- A queue is looked for by flush so long after it was begun.
local REMEMBERED = 86400

local function stamp(seconds) return string.format('%.6f', seconds) end

local gateways = {}

-- Whether that process is a gateway that lives.
local function isgateway(prefix, process)
  if gateways[process] == nil then gateways[process] = redis.call('HEXISTS', prefix .. ':busgate:core:lives', process) == 1 end
  return gateways[process]
end

-- The key of the queue that a channel has, and of which process it is. A gateway reads one queue, Python's processes one for each prefix of channels.
local function queueof(prefix, channel)
  local address = string.match(channel, '^[^!]*!')
  if not address then return prefix .. channel end
  local process = string.match(address, '([^.!]+)!$')
  if process and isgateway(prefix, process) then return prefix .. 'specific.' .. process .. '!', process, true end
  return prefix .. address, process or address, false
end

-- Puts an element into a queue in which fewer than `capacity` wait that have not expired; false where it is full.
local function push(prefix, queue, element, capacity, expiry, process)
  redis.call('ZREMRANGEBYSCORE', queue, 0, stamp(now - expiry))
  if redis.call('ZCARD', queue) >= capacity then return false end
  local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', queue, stamp(last and math.max(now, tonumber(last) + 0.000001) or now), element)
  redis.call('EXPIRE', queue, math.ceil(expiry))
  -- A worker queue's key says nowhere where the prefix ends.
  if not last and not process then
    local known = prefix .. ':busgate:core:queues'
    redis.call('ZREMRANGEBYSCORE', known, 0, stamp(now - REMEMBERED))
    redis.call('ZADD', known, stamp(now), queue)
    redis.call('EXPIRE', known, REMEMBERED)
  end
  return true
end

-- Makes a channel a member of a group, as of so many seconds ago.
local function join(group, channel, membership, ago)
  redis.call('ZADD', group, stamp(now - ago), channel)
  redis.call('EXPIRE', group, math.ceil(membership))
end

-- The members of a group whose membership has not ended.
local function membersof(group, membership)
  redis.call('ZREMRANGEBYSCORE', group, 0, stamp(now - membership))
  return redis.call('ZRANGE', group, 0, -1)
end
