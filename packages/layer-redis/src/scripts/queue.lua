-- How messages get into a queue. Joined after element.lua, before the scripts that push.
local REMEMBERED = 300000

-- Where it is kept when the first message may expire that has others before it which expire later.
local function beside(queue)
  return '{' .. queue .. '}:order'
end

-- Removes what has expired and stands behind what has not.
local function weed(queue, now)
  local soonest = tonumber(redis.call('HGET', beside(queue), 'soonest'))
  if not soonest or soonest > now then return end
  local left, ttl, latest = {}, redis.call('PTTL', queue), 0
  soonest = nil
  for _, element in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    local ends = deadline(element)
    if not ends or ends > now then
      left[#left + 1] = element
      if ends and ends < latest then soonest = math.min(soonest or ends, ends) end
      latest = math.max(latest, ends or 0)
    end
  end
  redis.call('DEL', queue)
  for from = 1, #left, 1000 do redis.call('RPUSH', queue, unpack(left, from, math.min(from + 999, #left))) end
  if ttl > 0 then redis.call('PEXPIRE', queue, ttl) end
  if soonest then redis.call('HSET', beside(queue), 'soonest', string.format('%.0f', soonest)) else redis.call('DEL', beside(queue)) end
end

-- How many wait in a queue, once so many places are free or what has expired is gone.
local function waiting(queue, now, places, capacity)
  local length = redis.call('LLEN', queue)
  if length + places <= capacity then return length end
  weed(queue, now)
  length = redis.call('LLEN', queue)
  while length + places > capacity and length > 0 do
    local ends = deadline(redis.call('LINDEX', queue, 0))
    if not ends or ends > now then break end
    redis.call('LPOP', queue)
    length = length - 1
  end
  return length
end

-- Appends messages, of each: a JSON object, for how many ms, its id or '', '1' where it is taken also where the queue is full. Of each: 1 (appended), 2 (its
-- id was seen: it is there, or was) or 0 (full).
local function push(queue, capacity, messages)
  local now, elements, outcomes, longest, soonest = milliseconds(), {}, {}, 0, nil
  local length = waiting(queue, now, #messages, capacity)
  local last = redis.call('LINDEX', queue, -1)
  local latest = last and deadline(last) or 0
  for index, message in ipairs(messages) do
    local payload, expiry, id, exempt = unpack(message)
    local seen = id ~= '' and redis.call('EXISTS', '{' .. queue .. '}:id:' .. id) == 1
    outcomes[index] = seen and 2 or (exempt == '1' or length < capacity) and 1 or 0
    if outcomes[index] == 1 then
      if id ~= '' then redis.call('SET', '{' .. queue .. '}:id:' .. id, '', 'PX', REMEMBERED) end
      local ends, members = now + expiry, string.sub(payload, 1, -2)
      elements[#elements + 1] = members .. (members == '{' and '' or ',') .. '"__expires":' .. string.format('%.0f', ends) .. '}'
      if ends < latest then soonest = math.min(soonest or ends, ends) end
      latest, longest, length = math.max(latest, ends), math.max(longest, tonumber(expiry)), length + 1
    end
  end
  if #elements > 0 then redis.call('RPUSH', queue, unpack(elements)) end
  if #elements > 0 or redis.call('PTTL', queue) == -1 then lengthen(queue, #elements > 0 and longest or tonumber(messages[1][2])) end
  if soonest then
    local known = tonumber(redis.call('HGET', beside(queue), 'soonest'))
    if not known or known > soonest then redis.call('HSET', beside(queue), 'soonest', string.format('%.0f', soonest)) end
    lengthen(beside(queue), latest - now)
  end
  return outcomes
end
