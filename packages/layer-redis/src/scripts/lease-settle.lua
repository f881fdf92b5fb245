-- Takes a record away, and where there is a message queues it in its place, all in one step. ARGV: key, and of a message: queue, ms that it lives, message.
if barred() then return barred() end
local record = redis.call('HGET', records, ARGV[1])
if not record then return 'missing' end
local _, _, id = read(record)
if not id then
  redis.call('HDEL', records, ARGV[1])
  return 'missing'
end
local outcome = ARGV[2] and push(ARGV[2], 0, { { ARGV[4], ARGV[3], id, '1' } })[1]
redis.call('HDEL', records, ARGV[1])
return outcome == 2 and 'ended' or 'done'
