--- queue.tend: do what is due in a topic; a duty of the partition's owner.
-- Promises: lapsed deliveries and delays that are over become ready, or dead letters; lives that ended are over;
--   consumers that wait are woken. The same is done by queue.consume, which need not wait for the owner.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3-18 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 assignment: number of the decision that made the caller the owner
--   3 node: the caller
-- Replies:
--   OK moved left_ms forward: so many messages; the next is due in left_ms, -1 = none is; where to send the dead
--     letters there are, or empty
--   DUTY_STALE duty: a newer assignment works here
-- Complexity: O(log m) with m messages of the topic; at most 100 of each kind that is due, 1000 consumers are woken
-- Retry: safe
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/duty
--- @include lib/clock
redis.call("SET", duty, assignment .. " " .. node)
--- @include lib/tend
local moved, at = tend()
local forward = redis.call("EXISTS", dead) == 1 and topic.dead_letter_topic or ""
return { OK, moved, at and math.max(at - now_ms, 0) or -1, forward }
