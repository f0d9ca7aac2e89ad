--- cache.get: read a value with its version.
-- Promises: changes nothing; the value is the latest one stored.
-- KEYS:
--   1 fence: the partition's fence
--   2 entry: version, a space, and the value
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK [entry|ttl_ms]: the entry and its remaining lifetime in ms, -1 = for ever; nothing when the key does not exist
-- Complexity: O(1)
-- Retry: read-only
-- In one call with what is asked for: a second one would cost more than all else here.
local found = redis.call("MGET", KEYS[1], KEYS[2])
local installed, entry = found[1], found[2]
--- @include lib/fence_compare
if not entry then
  return { OK }
end
return { OK, entry, redis.call("PTTL", KEYS[2]) }
