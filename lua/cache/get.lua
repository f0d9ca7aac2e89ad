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
--- @include lib/fence
local entry = redis.call("GET", KEYS[2])
if not entry then
  return { OK }
end
return { OK, entry, redis.call("PTTL", KEYS[2]) }
