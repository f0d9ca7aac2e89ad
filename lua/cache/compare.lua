--- cache.compare: say which copies of a partition's values are out of date, and how far the partition has counted.
-- Promises: changes nothing; all is as of one moment, and `counter` is the version of the last write before it.
-- KEYS:
--   1 fence: the partition's fence
--   2 versions: cache version counter
--   3+ entry: version, marks and value (see lib/cache_entry); there may be none
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2+ known: version of this entry that the caller has
-- Replies:
--   OK counter [is_current]: for each entry in order 1 if the known version is the latest, else 0
--   FENCE_MISSING: the counter was lost
-- Complexity: O(n) with n entries, at most 1000
-- Retry: read-only
local found = redis.call("MGET", KEYS[1], KEYS[2])
local installed, counter = found[1], found[2]
--- @include lib/fence_compare
if not counter then
  return { FENCE_MISSING }
end
--- @include lib/cache_version
--- @include lib/cache_head
local reply = { OK, counter }
for at = 3, #KEYS do
  local version = entry_version(read_head(KEYS[at]))
  reply[at] = version == ARGV[at - 1] and 1 or 0
end
return reply
