-- Sends to one channel. KEYS: its queue; ARGV: prefix, channel, element, capacity, of a gateway's queue, expiry in ms. 1, or 0: full.
local prefix, channel, element = ARGV[1], ARGV[2], ARGV[3]
local queue, process, gateway = queueof(prefix, channel)
return push(prefix, queue, element, tonumber(gateway and ARGV[5] or ARGV[4]), tonumber(ARGV[6]) / 1000, process) and 1 or 0
