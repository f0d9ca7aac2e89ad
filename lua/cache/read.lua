--- cache.read: read one value or several of a partition, and how far the partition has counted.
-- Promises: changes nothing; the values are the latest ones stored, all as of one moment, and `counter` is the version
--   of the last write that is in them. A value that the caller has already is not sent again.
-- KEYS:
--   1 fence: the partition's fence
--   2 versions: cache version counter
--   3+ entry: version, a space, and the value
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2+ known: version of this entry that the caller has, empty = none
-- Replies:
--   OK counter [entry left_ms]: for each entry in order, itself ("" = it does not exist, "=" = it is the known one) and
--     its remaining lifetime in ms, -1 = for ever
--   FENCE_MISSING: the counter was lost
-- Complexity: O(n) with n entries, at most 1000
-- Retry: read-only
-- In one call with what is asked for: further ones would cost more than all else here.
local found = redis.call("MGET", KEYS[1], KEYS[2], unpack(KEYS, 3))
local installed, counter = found[1], found[2]
--- @include lib/fence_compare
if not counter then
  return { FENCE_MISSING }
end
local reply = { OK, counter }
for at = 3, #KEYS do
  local entry, known = found[at], ARGV[at - 1]
  if not entry then
    reply[#reply + 1] = ""
    reply[#reply + 1] = -1
  else
    local is_known = known ~= "" and string.sub(entry, 1, #known + 1) == known .. " "
    reply[#reply + 1] = is_known and "=" or entry
    reply[#reply + 1] = redis.call("PTTL", KEYS[at])
  end
end
return reply
