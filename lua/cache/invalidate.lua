--- cache.invalidate: remove values and tell every near cache.
-- Promises: every key named is gone from Redis, and every near cache is told, also of keys Redis no longer had.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 versions: cache version counter
--   4+ entry: a key to remove
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 channel: where near caches listen
-- Replies:
--   OK removed: how many of the keys existed
-- Complexity: O(n) with n keys, at most 1000
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
if first_outcome then
  return first_outcome
end
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/cache_remove
local removed = 0
for at = 4, #KEYS do
  removed = removed + remove_entry(KEYS[at], ARGV[4])
end
return keep_outcome({ OK, removed })
