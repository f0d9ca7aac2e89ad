--- cache.begin_names: from now on keep the names of a partition's keys, in order.
-- Promises: the scripts that write keep the name of every key that is not there before. The counter of versions jumps,
--   which is how they know, and which near caches take for messages lost.
-- KEYS:
--   1 fence: the partition's fence
--   2 names: of keys, in order
--   3 versions: cache version counter
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 build: names the caller's look at all keys, which begins after this
-- Replies:
--   OK is_whole: 1 = the names of all keys are kept already; 0 = the build is to end with cache.add_names
--   FENCE_MISSING: the counter was lost
-- Complexity: O(log n) of n names; what an earlier generation kept is freed beside other work
-- Retry: safe with the same build
--- @include lib/fence
--- @include lib/counter
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/names_kept
local names = KEYS[2]
if not names_are_kept then
  redis.call("UNLINK", names)
  redis.call("INCRBY", KEYS[3], "34359738368")
elseif redis.call("ZSCORE", names, "") then
  return { OK, 1 }
end
redis.call("ZADD", names, 0, "\1" .. ARGV[2])
return { OK, 0 }
