-- What a lease is that may be over: when it ends, 'over', or 'gone': there is none, or it is settled to the end.
-- Where others have taken away its state, or put something else in its place, it lasts so long from now if it holds anything: its own process, if there is one, renews it before that.
local UNKNOWN = 10000
if not ends and type(held) == 'number' and held > 0 then
  redis.call('DEL', state)
  ends = now + UNKNOWN
  redis.call('HSET', state, 'ends', string.format('%.0f', ends))
  keep(UNKNOWN + KEPT)
end
if not ends then return 'gone' end
if ends > now then return string.format('%.0f', ends) end
return ended and held == 0 and 'gone' or 'over'
