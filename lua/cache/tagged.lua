--- cache.tagged: name keys of a partition that were stored with a tag, those tagged longest ago first.
-- Promises: changes nothing. A key may have been written or removed since; cache.untag looks again.
-- KEYS:
--   1 fence: the partition's fence
--   2 tag: keys by the version they were tagged in
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 max: keys named at most
-- Replies:
--   OK count [name]: how many keys have the tag, and some of their names
-- Complexity: O(max)
-- Retry: read-only
--- @include lib/fence
local tag = KEYS[2]
local names = redis.call("ZRANGE", tag, 0, ARGV[2] - 1)
local reply = { OK, redis.call("ZCARD", tag) }
for at = 1, #names do
  reply[at + 2] = names[at]
end
return reply
