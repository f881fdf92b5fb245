-- What a lease is that may be over: when it ends, 'over', or 'gone': there is none, or it is settled to the end.
if not ends then return 'gone' end
if ends > now then return string.format('%.0f', ends) end
return ended and held == 0 and 'gone' or 'over'
