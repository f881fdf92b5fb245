-- For servers that have not all queues: a record, for its own process to settle in steps. ARGV: key. What bars it, or the record.
if barred() then return { barred() } end
local record = redis.call('HGET', records, ARGV[1])
return record and read(record) and { 'done', record } or { 'missing' }
