-- Puts elements back at the head. KEYS: queue; ARGV: expiry in ms of what says none, the digest of what must still stand there ('': whatever does), then
-- the elements, youngest first. 1, or 0 where something else is there. Who waits for the queue is served after the last of them.
local queue, expiry, successor = KEYS[1], tonumber(ARGV[1]), ARGV[2]
if successor ~= '' then
  local head = redis.call('LINDEX', queue, 0)
  if not head or redis.sha1hex(head) ~= successor then return 0 end
end
local now, longest = milliseconds(), 0
for index = 3, #ARGV do
  local ends = deadline(ARGV[index])
  longest = math.max(longest, ends and ends - now or expiry)
  redis.call('LPUSH', queue, ARGV[index])
end
lengthen(queue, math.max(longest, 1))
return 1
