--- cache.remove_named: remove values that were written up to a version, and tell every near cache.
-- Promises: a value written later stays. A lease to fill ends, so that what its holder read before is not stored after.
--   The name of a key that is gone is not kept any longer.
-- KEYS:
--   1 fence: the partition's fence
--   2 names: of keys, in order
--   3 versions: cache version counter
--   4+ entry: version, marks and value (see lib/cache_entry)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 channel: where near caches listen
--   3 up_to: version up to which values go; -1 = none, only names of keys that are gone
-- Replies:
--   OK removed: how many values were removed
--   FENCE_MISSING: the counter was lost
-- Complexity: O(n log m) with n keys, at most 1000, of m names
-- Retry: safe: what was removed is not there any more
--- @include lib/fence
--- @include lib/counter
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/cache_version
--- @include lib/cache_head
local names, up_to = KEYS[2], ARGV[3]
local removed = 0
for at = 4, #KEYS do
  local entry = KEYS[at]
  local head = read_head(entry)
  local is_gone = head == ""
  if not is_gone and tonumber(entry_version(head)) <= tonumber(up_to) then
    is_gone = true
    redis.call("UNLINK", entry)
    redis.call("PUBLISH", ARGV[2], string.format("%.0f", redis.call("INCR", KEYS[3])) .. " " .. entry)
    -- Version 0: nothing but a lease to fill, or the knowledge that there is no value.
    if string.sub(head, 1, 1) ~= "0" then
      removed = removed + 1
    end
  end
  if is_gone then
    -- `...:cache:<name>` beside `...:names`
    redis.call("ZREM", names, string.sub(entry, #names + 2))
  end
end
return { OK, removed }
