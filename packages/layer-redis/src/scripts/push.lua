-- Appends messages while fewer than `capacity` unexpired ones wait. KEYS: queue; ARGV: capacity, expiry in ms, then the messages (JSON objects), oldest first.
-- How many of them were appended, from the first on. A queue that plain RPUSHes filled is given its time to live here, else it would stay full for ever.
local queue, capacity, expiry = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = milliseconds()
local waiting, wanted = redis.call('LLEN', queue), #ARGV - 2
while waiting + wanted > capacity and waiting > 0 do
  local ends = deadline(redis.call('LINDEX', queue, 0))
  if not ends or ends > now then break end
  redis.call('LPOP', queue)
  waiting = waiting - 1
end
local accepted = math.min(wanted, capacity - waiting)
if accepted <= 0 then
  if redis.call('PTTL', queue) == -1 then redis.call('PEXPIRE', queue, expiry) end
  return 0
end
local ending = '"__expires":' .. string.format('%.0f', now + expiry) .. '}'
local elements = {}
for index = 1, accepted do
  local members = string.sub(ARGV[index + 2], 1, -2)
  elements[index] = members .. (members == '{' and '' or ',') .. ending
end
redis.call('RPUSH', queue, unpack(elements))
redis.call('PEXPIRE', queue, expiry)
return accepted
