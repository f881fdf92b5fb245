-- Appends to the history of a room, trims it and publishes, in one step. KEYS: {<prefix>:room:<room>}:history; ARGV: payload. Of gateways also: how many
-- messages are kept, for how many ms, the server's run_id, PUBLISH or SPUBLISH, an id or '', and more pairs of payload and id. The position, <epoch>:<offset>;
-- for gateways a list of them.
if not ARGV[1] then return redis.error_reply('ERR there is nothing to publish') end
local REMEMBERED = '300000'
local publish, refused = ARGV[5], nil
if not publish then
  server = server or call('INFO', 'server')
  publish = string.find(server, 'redis_mode:cluster', 1, true) and 'SPUBLISH' or 'PUBLISH'
end

-- How many hear it. What is appended counts, whether or not this user may tell of it.
local function tell(channel, message)
  local heard = redis.pcall(publish, channel, message)
  if type(heard) == 'table' and publish == 'SPUBLISH' then
    -- A cluster before Redis 7 has no SPUBLISH.
    publish = 'PUBLISH'
    heard = redis.pcall(publish, channel, message)
  end
  if type(heard) == 'table' then refused = heard end
  return heard
end

if now > tonumber(last) then last = format('%.0f', now) end
local live, plain, positions = room .. ':live', string.sub(room, 2, -2), {}

local function append(payload)
  local previous = offset
  offset = format('%.0f', offset + 1)
  local position = epoch .. ':' .. offset
  call('XADD', KEYS[1], 'MAXLEN', '=', size, last .. '-' .. offset, 'p', payload)
  -- Gateways without a rule for this room listen to its plain channel alone.
  if tell(live, position .. ':' .. previous .. '\n' .. payload) == 0 then tell(plain, payload) end
  return position
end

for index = 1, math.max(1, #ARGV - 5), 2 do
  -- What follows the first payload is said once for all.
  local payload, id = ARGV[index == 1 and 1 or index + 4], ARGV[index + 5] or ''
  local first = id ~= '' and call('GET', room .. ':id:' .. id)
  positions[#positions + 1] = first or append(payload)
  if id ~= '' and not first then call('SET', room .. ':id:' .. id, positions[#positions], 'PX', REMEMBERED) end
end
if known[5] == size and known[6] == age and now < (known[7] or 0) + UPKEEP then
  call('HSET', beside, 'offset', offset, 'last', last)
else
  call('HSET', beside, 'offset', offset, 'last', last, 'size', size, 'age', age, 'kept', format('%.0f', now))
  call('XTRIM', KEYS[1], 'MINID', '=', oldest())
  call('PEXPIRE', KEYS[1], age + UPKEEP)
  call('PEXPIRE', beside, age + UPKEEP + KEPT_BESIDE)
end
-- Whoever repeats it appends it once more.
if refused then return redis.error_reply('UNTOLD appended as ' .. positions[#positions] .. ', but who listens could not be told: ' .. refused.err) end
return ARGV[5] and positions or positions[1]
