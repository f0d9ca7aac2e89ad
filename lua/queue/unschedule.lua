--- queue.unschedule: take a schedule away.
-- Promises: it publishes nothing from now on; what it published stays.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 timetable: schedules by their next tick, a sorted set (see lib/timetable)
--   4 schedules: what each is, by topic<nul>name, a hash
--   5 schedule_names: their names in order, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 member: topic<nul>name
-- Replies:
--   OK removed: 1, or 0 when there was none
-- Complexity: O(log s) with s schedules of the partition
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
if first_outcome then
  return first_outcome
end
redis.call("ZREM", KEYS[3], ARGV[4])
redis.call("ZREM", KEYS[5], ARGV[4])
return keep_outcome({ OK, redis.call("HDEL", KEYS[4], ARGV[4]) })
