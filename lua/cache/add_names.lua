--- cache.add_names: keep the names of keys that were there before their names were kept.
-- Promises: nothing is added, and nothing said to be whole, for a look at the keys that began before the names did.
-- KEYS:
--   1 fence: the partition's fence
--   2 names: of keys, in order
--   3+ entry: a key that was found; there may be none
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 build: as given to cache.begin_names
--   3 is_last: 1 = all keys were found: the names are whole; 0 = there are others
-- Replies:
--   OK is_known: 0 = the names were begun anew since, and so must the build be
-- Complexity: O(n log m) with n keys, at most 1000, of m names
-- Retry: safe
--- @include lib/fence
local names, build = KEYS[2], ARGV[2]
-- No name of a key has a control character.
local mark = "\1" .. build
if not redis.call("ZSCORE", names, mark) then
  return { OK, 0 }
end
for at = 3, #KEYS do
  if redis.call("EXISTS", KEYS[at]) == 1 then
    -- `...:cache:<name>` beside `...:names`
    redis.call("ZADD", names, 0, string.sub(KEYS[at], #names + 2))
  end
end
if ARGV[3] == "1" then
  -- What is no name of a key: the mark of this build, and the empty one, which says that the names are whole.
  redis.call("ZREM", names, mark)
  redis.call("ZADD", names, 0, "")
end
return { OK, 1 }
