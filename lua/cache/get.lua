--- cache.get: read a value with its version.
-- Promises: changes nothing; the value is the latest one stored. It is for nodes of a release before cache.read.
-- KEYS:
--   1 fence: the partition's fence
--   2 entry: version, marks and value (see lib/cache_entry)
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK [entry|ttl_ms]: version, a space and the value, and its remaining lifetime in ms, -1 = for ever; nothing when
--     there is no fresh value
-- Complexity: O(1)
-- Retry: read-only
-- In one call with what is asked for: a second one would cost more than all else here.
local found = redis.call("MGET", KEYS[1], KEYS[2])
local installed, entry = found[1], found[2]
--- @include lib/fence_compare
if not entry then
  return { OK }
end
if string.find(entry, "^%d+ ") then
  return { OK, entry, redis.call("PTTL", KEYS[2]) }
end
--- @include lib/cache_version
--- @include lib/now
local fresh_until, _, _, _, _, at = parse_marks(entry)
local now_ms = redis_now_ms()
if at > #entry or (fresh_until > 0 and fresh_until <= now_ms) then
  return { OK }
end
local ttl_ms = fresh_until > 0 and fresh_until - now_ms or redis.call("PTTL", KEYS[2])
return { OK, entry_version(entry) .. " " .. string.sub(entry, at), ttl_ms }
