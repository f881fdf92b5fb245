-- The members of a group. KEYS: group; ARGV: membership in ms.
return membersof(KEYS[1], tonumber(ARGV[1]) / 1000)
