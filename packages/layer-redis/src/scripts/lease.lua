-- A lease of a process. Joined before the scripts of leases, after queue.lua. KEYS: {<prefix>:lease:<lease>}:state and {…}:records.
-- Where nobody settles it, or its end is to be remembered, it is kept so long.
local KEPT = 7 * 86400000
local state, records = KEYS[1], KEYS[2]
local now = milliseconds()
-- Where others have put something else in the place of one of them there is no lease: its own process is told so, and grants it anew.
local held = redis.pcall('HLEN', records)
local known = type(held) == 'number' and redis.pcall('HMGET', state, 'ends', 'ended') or {}
local ends, ended = tonumber(known[1]), known[2]

-- What its own process is answered where it can do nothing; nil where it can.
local function barred()
  if not ends then return 'missing' end
  return ended and 'ended' or nil
end

-- Keeps both keys for at least so many ms.
local function keep(ms)
  for _, key in ipairs({ state, records }) do redis.call('PEXPIRE', key, string.format('%.0f', ms)) end
end

-- A record, '<ms that its message lives> <queue> <id> LF <message>', taken apart; nil where it is none.
local function read(record)
  return string.match(record, '^(%d+) (%S+) ([^\n]*)\n(.*)$')
end
