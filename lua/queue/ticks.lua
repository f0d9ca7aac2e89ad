--- queue.ticks: which schedules of a partition are due, and when the next one is; a duty of the partition's owner.
-- Promises: changes nothing but what is known of the owner: it is told when a schedule is due sooner than was answered.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3 timetable: schedules by their next tick, a sorted set (see lib/timetable)
--   4 schedules: what each is, by topic<nul>name, a hash
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 assignment: number of the decision that made the caller the owner
--   3 node: the caller
-- Replies:
--   OK left_ms now_ms [member tick spec]: the next is due in so many ms, -1 = none is; Redis time; of at most 16 that are
--     due now topic<nul>name, the time of the tick and what the schedule is
--   DUTY_STALE duty: a newer assignment works here
-- Complexity: O(log s) with s schedules of the partition
-- Retry: safe
--- @include lib/fence
--- @include lib/duty
--- @include lib/clock
local timetable = KEYS[3]
redis.call("SET", duty, assignment .. " " .. node)
redis.call("ZREM", timetable, "")
local first = redis.call("ZRANGE", timetable, 0, 0, "WITHSCORES")[2]
if not first then
  return { OK, -1, string.format("%.0f", now_ms) }
end
redis.call("ZADD", timetable, first, "")
local left_ms = first ~= "inf" and math.max(tonumber(first) - now_ms, 0) or -1
local reply = { OK, left_ms, string.format("%.0f", now_ms) }
for _, member in ipairs(redis.call("ZRANGEBYSCORE", timetable, "-inf", now_ms, "LIMIT", 0, 17)) do
  if member ~= "" then
    reply[#reply + 1] = member
    reply[#reply + 1] = string.format("%.0f", redis.call("ZSCORE", timetable, member))
    reply[#reply + 1] = redis.call("HGET", KEYS[4], member) or ""
  end
end
return reply
