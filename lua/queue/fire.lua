--- queue.fire: publish what a schedule is to publish, and set its next tick; a duty of the partition's owner.
-- Promises: a tick is published once: only the one that is next is, and in the same step another becomes the next.
--   Nothing is published before its time, by Redis time.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3-18 lib/topic
--   19 timetable: schedules by their next tick, a sorted set (see lib/timetable)
--   20 schedules: what each is, by topic<nul>name, a hash
--   21 schedule_names: their names in order, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 assignment: number of the decision that made the caller the owner
--   3 node: the caller
--   4 tick: packed: topic<nul>name, spec, the tick that is next and the one after it as decimals, empty = there is none,
--     and the options of the messages (see queue.publish)
--   5+ id: name of a message
--   6+ data: its payload, opaque bytes
-- Replies:
--   OK fired: 1, or 0 when the tick is not the next one, or not due
--   DUTY_STALE duty: a newer assignment works here
--   TOPIC_FULL length: refused, the topic has so many messages
--   TOPIC_PAUSED: refused, nothing may be published for now
-- Complexity: O(n log m) with n messages, at most 100, and m in the topic
-- Retry: safe
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/duty
--- @include lib/clock
local timetable, schedules, schedule_names = KEYS[19], KEYS[20], KEYS[21]
local member, spec, expected, next_at, options = unpack(cmsgpack.unpack(ARGV[4]))
local planned = redis.call("ZSCORE", timetable, member)
local is_due = planned and tonumber(planned) == tonumber(expected) and tonumber(planned) <= now_ms
-- One that was said anew since has other things to publish, or at other times.
if not is_due or redis.call("HGET", schedules, member) ~= spec then
  return { OK, 0 }
end
--- @include lib/special
--- @include lib/store
--- @include lib/admit
--- @include lib/timetable
local refusal, excess = admit((#ARGV - 4) / 2)
if refusal then
  return refusal
end
redis.call("SET", duty, assignment .. " " .. node)
if #options > 0 then
  mark_special()
  drop_oldest(excess)
  for at = 5, #ARGV, 2 do
    store(ARGV[at], "0", ARGV[at + 1], options[(at - 3) / 2], at)
  end
  wake_takers()
end
if next_at ~= "" then
  plan(member, next_at)
else
  redis.call("ZREM", timetable, member)
  redis.call("ZREM", schedule_names, member)
  redis.call("HDEL", schedules, member)
end
return { OK, 1 }
