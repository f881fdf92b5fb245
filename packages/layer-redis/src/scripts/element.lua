-- Queue elements and the clock that judges them. Joined before the scripts that read or write queues.
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- When an element expires, in milliseconds of this server's clock; nil for what a plain RPUSH brought.
local function deadline(element)
  local last = string.match(string.sub(element, -40), '[,{]"__expires":(%d+)}$')
  if last then return tonumber(last) end
  if not string.find(element, '"__expires"', 1, true) then return nil end
  local readable, message = pcall(cjson.decode, element)
  return readable and type(message) == 'table' and tonumber(message['__expires']) or nil
end

-- A queue lives at least so long: as long as anything in it.
local function lengthen(queue, ms)
  if redis.call('PTTL', queue) < ms then redis.call('PEXPIRE', queue, string.format('%.0f', ms)) end
end
