-- Takes what has not expired, oldest first. KEYS: queue; ARGV: how many at most, expiry in ms, how many more where one at least is left.
-- The server's clock; where more were to be taken, the digest of the one that is left at the head, else ''; then the elements.
-- A queue that a plain RPUSH began is given its time to live here.
local queue, max, expiry, ahead = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = milliseconds()
local taken = { string.format('%.0f', now), '' }
max = max + #taken
local function take(count)
  local elements = count > 0 and redis.call('LPOP', queue, count) or {}
  for _, element in ipairs(elements) do
    local ends = deadline(element)
    if not ends or ends > now then taken[#taken + 1] = element end
  end
  return #elements > 0
end
while #taken < max and take(max - #taken) do end
while #taken < max + ahead and take(math.min(max + ahead - #taken, redis.call('LLEN', queue) - 1)) do end
if redis.call('PTTL', queue) == -1 then redis.call('PEXPIRE', queue, expiry) end
local head = ahead > 0 and redis.call('LINDEX', queue, 0)
if head then taken[2] = redis.sha1hex(head) end
return taken
