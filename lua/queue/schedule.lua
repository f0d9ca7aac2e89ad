--- queue.schedule: say what is to be published when, or change it.
-- Promises: a schedule that is said again with the same times keeps its next tick, so that one which is due is not
--   lost; with other times, or resumed, its next tick is the one that the caller found.
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
--   5 times: all that its ticks depend on, in one line
--   6 spec: the rest of it, opaque
--   7 next_at: its next tick as the caller found it, ms since 1970; empty = it is paused
--   8 limit: how many schedules a topic may have
-- Replies:
--   OK next_at: its next tick, ms since 1970, empty while it is paused
--   SCHEDULES_FULL: the topic has so many already
-- Complexity: O(log s) with s schedules of the partition
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
if first_outcome then
  return first_outcome
end
local timetable, schedules, schedule_names = KEYS[3], KEYS[4], KEYS[5]
local member, times, spec, next_at, limit = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local before = redis.call("HGET", schedules, member)
if not before then
  local topic_name = string.match(member, "^[^%z]*")
  local count = redis.call("ZLEXCOUNT", schedule_names, "[" .. topic_name .. "\0", "(" .. topic_name .. "\1")
  if count >= tonumber(limit) then
    return { SCHEDULES_FULL }
  end
end
--- @include lib/timetable
local planned = redis.call("ZSCORE", timetable, member)
if next_at ~= "" and before and planned and planned ~= "inf" and string.match(before, "^[^\n]*") == times then
  next_at = string.format("%.0f", planned)
end
redis.call("HSET", schedules, member, times .. "\n" .. spec)
redis.call("ZADD", schedule_names, 0, member)
plan(member, next_at ~= "" and next_at or "+inf")
return keep_outcome({ OK, next_at })
