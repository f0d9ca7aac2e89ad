--- queue.fire: publish what a schedule is to publish, and set its next tick; a duty of the partition's owner.
-- Promises: a tick is published once: only the one that is next is, and in the same step another becomes the next.
--   Nothing is published before its time, by Redis time.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3 topic_settings: what was set for the topic, its subscriptions among it, packed
--   4 shared: payloads and how many subscriptions have them by id, a hash (see lib/payload)
--   5 due: of the partition: when a topic has something to be tended at the earliest, a sorted set
--   6 sessions: sessions of nodes with parked requests by their end, a sorted set
--   7 timetable: schedules by their next tick, a sorted set (see lib/timetable)
--   8 schedules: what each is, by topic<nul>name, a hash
--   9 schedule_names: their names in order, a sorted set
--   10+ part: of the topic, or of each of its subscriptions, 13 keys, as in lib/group_topic
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
--   TOPIC_SUBSCRIBED [subscription]: refused, these are the subscriptions
--   TOPIC_FULL length: refused, the topic has so many messages
--   TOPIC_PAUSED: refused, nothing may be published for now
-- Complexity: O(n s log m) with n messages, at most 100, s subscriptions, at most 16, and m messages of one
-- Retry: safe
--- @include lib/fence
--- @include lib/duty
--- @include lib/clock
local due, sessions, timetable, schedules, schedule_names = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local member, spec, expected, next_at, options = unpack(cmsgpack.unpack(ARGV[4]))
local planned = redis.call("ZSCORE", timetable, member)
local is_due = planned and tonumber(planned) == tonumber(expected) and tonumber(planned) <= now_ms
-- One that was said anew since has other things to publish, or at other times.
if not is_due or redis.call("HGET", schedules, member) ~= spec then
  return { OK, 0 }
end
--- @include lib/fan_out
--- @include lib/timetable
if not find_queues(10, KEYS[3], KEYS[4]) then
  return subscriptions_of_topic()
end
local refusal = admit_to_all((#ARGV - 4) / 2, function(number)
  return ARGV[2 * number + 3]
end)
if refusal then
  return refusal
end
redis.call("SET", duty, assignment .. " " .. node)
if #options > 0 then
  make_room()
  for at = 5, #ARGV, 2 do
    store_for_all(ARGV[at], "0", ARGV[at + 1], options[(at - 3) / 2], at)
  end
  wake_in_all()
end
if next_at ~= "" then
  plan(member, next_at)
else
  redis.call("ZREM", timetable, member)
  redis.call("ZREM", schedule_names, member)
  redis.call("HDEL", schedules, member)
end
return { OK, 1 }
