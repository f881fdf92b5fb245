-- The records of a set that are not over, as keys and records in turn. KEYS as for record-keep.lua.
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', milliseconds()), '+inf')
local all = {}
for from = 1, #keys, 1000 do
  local to = math.min(from + 999, #keys)
  local values = redis.call('HMGET', KEYS[2], unpack(keys, from, to))
  for index = from, to do
    all[#all + 1] = keys[index]
    all[#all + 1] = values[index - from + 1]
  end
end
return all
