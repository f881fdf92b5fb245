-- Ends every membership in a group, save that of gateways that live: it is how they listen to it. KEYS: group; ARGV: prefix.
for _, channel in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local process = string.match(channel, '^specific%.([^.!]+)!g%-')
  if not process or not isgateway(ARGV[1], process) then redis.call('ZREM', KEYS[1], channel) end
end
return 1
