-- Takes what has not expired, oldest first. KEYS: queue; ARGV: how many at most, expiry in ms. The server's clock, then the elements.
-- A queue that a plain RPUSH began is given its time to live here.
local queue, max, expiry = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = milliseconds()
local taken = { string.format('%.0f', now) }
while #taken <= max do
  local elements = redis.call('LPOP', queue, max + 1 - #taken)
  if not elements or #elements == 0 then break end
  for _, element in ipairs(elements) do
    local ends = deadline(element)
    if not ends or ends > now then taken[#taken + 1] = element end
  end
end
if redis.call('PTTL', queue) == -1 then redis.call('PEXPIRE', queue, expiry) end
return taken
