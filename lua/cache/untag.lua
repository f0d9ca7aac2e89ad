--- cache.untag: remove the values of keys that have a tag, and tell every near cache.
-- Promises: a key is removed only if its value is still the one that was stored with the tag; none of the keys named has
--   the tag afterwards.
-- KEYS:
--   1 fence: the partition's fence
--   2 tag: keys by the version they were tagged in
--   3 versions: cache version counter
--   4+ entry: version, marks and value (see lib/cache_entry)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 channel: where near caches listen
--   3+ name: of the key
-- Replies:
--   OK removed: how many values were removed
-- Complexity: O(n log m) with n keys, at most 1000, of m that have the tag
-- Retry: safe: what was removed is not there any more
--- @include lib/fence
--- @include lib/counter
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/cache_version
--- @include lib/cache_head
local tag = KEYS[2]
local removed = 0
for at = 4, #KEYS do
  local entry, name = KEYS[at], ARGV[at - 1]
  local tagged = redis.call("ZSCORE", tag, name)
  if tagged then
    local version = entry_version(read_head(entry))
    if version == string.format("%.0f", tagged) then
      redis.call("UNLINK", entry)
      redis.call("PUBLISH", ARGV[2], string.format("%.0f", redis.call("INCR", KEYS[3])) .. " " .. entry)
      removed = removed + 1
    end
    redis.call("ZREM", tag, name)
  end
end
return { OK, removed }
