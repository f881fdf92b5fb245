-- Settles records of a lease that is over, and marks it as ended. ARGV: how many at most, and where this server has all queues what their keys begin with. How
-- many were settled; without the last a list of pairs of key and record, which are to be settled in steps.
if not ends or ends > now then return ARGV[2] and 0 or {} end
if not ended then
  redis.call('HSET', state, 'ended', string.format('%.0f', now))
  keep(KEPT)
end
local found = redis.call('HRANDFIELD', records, ARGV[1], 'WITHVALUES')
if not ARGV[2] then return found end
local settled, failure = 0, nil
for index = 1, #found, 2 do
  local expiry, queue, id, message = read(found[index + 1])
  -- A key that is no queue, say, keeps its own record, and no other one. What others have put in the place of a record is removed with nothing in its place.
  local done, outcome = true, nil
  if expiry then done, outcome = pcall(push, ARGV[2] .. queue, 0, { { message, expiry, id, '1' } }) end
  if done then
    redis.call('HDEL', records, found[index])
    settled = settled + 1
  else
    failure = outcome
  end
end
if settled == 0 and failure then return type(failure) == 'table' and failure or redis.error_reply(failure) end
return settled
