-- What a lease is that may be over: when it ends, 'over', or 'gone': there is none, or it is settled to the end.
-- Where others have taken away its state, or put something else in its place, what it holds says when it ends: it is kept for so long after that.
if not ends and type(held) == 'number' and held > 0 then
  ends = now + redis.call('PTTL', records) - KEPT
  redis.call('DEL', state)
  redis.call('HSET', state, 'ends', string.format('%.0f', ends))
  keep(math.max(ends - now, 0) + KEPT)
end
if not ends then return 'gone' end
if ends > now then return string.format('%.0f', ends) end
return ended and held == 0 and 'gone' or 'over'
