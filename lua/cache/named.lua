--- cache.named: names of a partition's keys that begin with a prefix, in order.
-- Promises: changes nothing. A key may have been written or removed since; cache.remove_named looks again.
-- KEYS:
--   1 fence: the partition's fence
--   2 names: of keys, in order
--   3 versions: cache version counter
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 prefix: empty = all names
--   3 after: the last name that the caller was told, empty = none
--   4 max: names told at most
-- Replies:
--   OK is_whole counter [name]: is_whole: 0 = not all names are kept (see cache.begin_names), and none is told;
--     counter: version of the last write before
--   FENCE_MISSING: the counter was lost
-- Complexity: O(log n + max) of n names
-- Retry: read-only
--- @include lib/fence
--- @include lib/counter
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/names_kept
local names, prefix, after = KEYS[2], ARGV[2], ARGV[3]
local numeral = string.format("%.0f", counter)
if not (names_are_kept and redis.call("ZSCORE", names, "")) then
  return { OK, 0, numeral }
end
-- No name begins with less than a space, and no byte of UTF-8 is 255.
local from = after ~= "" and "(" .. after or "[" .. (prefix ~= "" and prefix or " ")
local found = redis.call("ZRANGEBYLEX", names, from, "(" .. prefix .. "\255", "LIMIT", 0, ARGV[4])
local reply = { OK, 1, numeral }
for at = 1, #found do
  reply[at + 3] = found[at]
end
return reply
