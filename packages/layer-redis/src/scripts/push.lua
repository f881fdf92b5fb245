-- Appends a message unless `capacity` unexpired ones wait. KEYS: queue; ARGV: message (a JSON object), capacity, expiry in ms. 1, or 0 where it is full.
-- A queue that plain RPUSHes filled is given its time to live here, else it would stay full for ever.
local queue, message, capacity, expiry = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = milliseconds()
local waiting = redis.call('LLEN', queue)
while waiting >= capacity do
  local ends = deadline(redis.call('LINDEX', queue, 0))
  if not ends or ends > now then
    if redis.call('PTTL', queue) == -1 then redis.call('PEXPIRE', queue, expiry) end
    return 0
  end
  redis.call('LPOP', queue)
  waiting = waiting - 1
end
local members = string.sub(message, 1, -2)
local comma = members == '{' and '' or ','
redis.call('RPUSH', queue, members .. comma .. '"__expires":' .. string.format('%.0f', now + expiry) .. '}')
redis.call('PEXPIRE', queue, expiry)
return 1
