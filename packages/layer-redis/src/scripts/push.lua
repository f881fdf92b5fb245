-- Appends messages while fewer than `capacity` unexpired ones wait. KEYS: queue, and where ids are kept; ARGV: capacity, then of each message, oldest first,
-- what push() takes. A queue that plain RPUSHes filled is given its time to live here, else it would stay full for ever.
local messages = {}
for index = 2, #ARGV, 4 do messages[#messages + 1] = { ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3] } end
return push(KEYS[1], tonumber(ARGV[1]), messages)
