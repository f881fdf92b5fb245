-- Makes a gateway a member of a group. KEYS: group; ARGV: its channel, membership in ms.
join(KEYS[1], ARGV[1], tonumber(ARGV[2]) / 1000, 0)
return 1
