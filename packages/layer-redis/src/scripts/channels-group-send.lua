-- A group_send in one step. KEYS: group; ARGV: prefix, the packed message up to the list of its channels, random bytes (8), capacity, of a gateway's
-- queue, expiry and membership in ms. How many members are worker queues, how many of these were not given it, how many queues of processes were not, and of how
-- many of them all that is so for an error, with the first one: such a queue fails alone, since others have the message by then.
local prefix, open, random = ARGV[1], ARGV[2], ARGV[3]
local capacity, roomy, expiry, membership = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]) / 1000, tonumber(ARGV[7]) / 1000

local function sized(short, code, size)
  if size < short[2] then return string.char(short[1] + size) end
  if code[1] and size < 256 then return string.char(code[1], size) end
  return string.char(code[2], math.floor(size / 256), size % 256)
end

local queues, names = {}, {}
for _, channel in ipairs(membersof(KEYS[1], membership)) do
  local queue, process, gateway = queueof(prefix, channel)
  if not names[queue] then
    names[queue] = {}
    queues[#queues + 1] = { queue, process, gateway }
  end
  table.insert(names[queue], sized({ 0xa0, 32 }, { 0xd9, 0xda }, #channel) .. channel)
end

local workers, missed, missedprocesses, failed, why = 0, 0, 0, 0, ''
for index, found in ipairs(queues) do
  local queue, process, gateway = found[1], found[2], found[3]
  local counted = string.char(math.floor(index / 16777216) % 256, math.floor(index / 65536) % 256, math.floor(index / 256) % 256, index % 256)
  local list = sized({ 0x90, 16 }, { nil, 0xdc }, #names[queue]) .. table.concat(names[queue])
  local done, pushed = pcall(push, prefix, queue, random .. counted .. open .. list, gateway and roomy or capacity, expiry, process)
  if not done then
    if failed == 0 then why = type(pushed) == 'table' and pushed.err or tostring(pushed) end
    failed = failed + 1
  end
  local given = done and pushed
  if not process then workers = workers + 1 end
  if not given and process then missedprocesses = missedprocesses + 1 end
  if not given and not process then missed = missed + 1 end
end
if failed > 0 and failed == #queues then return redis.error_reply(why) end
return { workers, missed, missedprocesses, failed, why }
