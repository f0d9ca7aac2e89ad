--- lock.inspect: who holds a resource now.
-- Promises: changes nothing; holders whose lease ended are not shown.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock: the hold, a hash
--   3 readers: owners of shared holds by end of lease, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK mode count [owner token expires_in_ms]: count of all holders, up to 100 of them; mode is empty when free
-- Complexity: O(log h) with h shared holders
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
--- @include lib/holders
local reply = describe_holders(KEYS[2], KEYS[3])
table.insert(reply, 1, OK)
return reply
