--- lock.record: have a partition's lock events recorded for a while.
-- Promises: they are recorded for record_ms from now at least; what is recorded already stays.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 record_ms: for how long, ms
-- Replies:
--   OK is_new: is_new = 1 when nothing was recorded before
-- Complexity: O(1)
-- Retry: safe
--- @include lib/fence
local lock_events, record_ms = KEYS[2], ARGV[2]
local is_new = redis.call("EXISTS", lock_events) == 0
if is_new then
  redis.call("XADD", lock_events, "*", "event", "recording")
end
if redis.call("PTTL", lock_events) < tonumber(record_ms) then
  redis.call("PEXPIRE", lock_events, record_ms)
end
return { OK, is_new and 1 or 0 }
