-- A group_send of channels_redis's core layer, in one step. KEYS: group; ARGV: prefix, the packed message up to the list of its channels, random bytes
-- (8), capacity, expiry and membership in ms. How many queues were full.
local prefix, open, random = ARGV[1], ARGV[2], ARGV[3]
local capacity, expiry, membership = tonumber(ARGV[4]), tonumber(ARGV[5]) / 1000, tonumber(ARGV[6]) / 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function sized(short, code, size)
  if size < short[2] then return string.char(short[1] + size) end
  if code[1] and size < 256 then return string.char(code[1], size) end
  return string.char(code[2], math.floor(size / 256), size % 256)
end

local queues, names = {}, {}
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.6f', now - membership))
for _, channel in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local queue = prefix .. (string.match(channel, '^[^!]*!') or channel)
  if not names[queue] then
    names[queue] = {}
    queues[#queues + 1] = queue
  end
  table.insert(names[queue], sized({ 0xa0, 32 }, { 0xd9, 0xda }, #channel) .. channel)
end

local full = 0
for index, queue in ipairs(queues) do
  redis.call('ZREMRANGEBYSCORE', queue, 0, string.format('%.6f', now - expiry))
  if redis.call('ZCARD', queue) >= capacity then
    full = full + 1
  else
    local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
    local score = last and math.max(now, tonumber(last) + 0.000001) or now
    local counted = string.char(math.floor(index / 16777216) % 256, math.floor(index / 65536) % 256, math.floor(index / 256) % 256, index % 256)
    local list = sized({ 0x90, 16 }, { nil, 0xdc }, #names[queue]) .. table.concat(names[queue])
    redis.call('ZADD', queue, string.format('%.6f', score), random .. counted .. open .. list)
    redis.call('EXPIRE', queue, math.ceil(expiry))
  end
end
return full
