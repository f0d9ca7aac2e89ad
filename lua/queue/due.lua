--- queue.due: which topics of a partition are to be tended, and when the next one is; a duty of the partition's owner.
-- Promises: changes nothing but what is known of the owner: it is told when a topic is due sooner than was answered.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3 due: when a topic has something to be tended at the earliest, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 assignment: number of the decision that made the caller the owner
--   3 node: the caller
-- Replies:
--   OK left_ms [topic]: the next one is due in so many ms, -1 = none is; topic is the key of its ready messages, for at
--     most 64 that are due now
--   DUTY_STALE duty: a newer assignment works here
-- Complexity: O(log t) with t topics that have something to be tended
-- Retry: safe
--- @include lib/fence
--- @include lib/duty
--- @include lib/clock
local due = KEYS[3]
redis.call("SET", duty, assignment .. " " .. node)
redis.call("ZREM", due, "")
local topics = redis.call("ZRANGEBYSCORE", due, "-inf", now_ms, "LIMIT", 0, 64)
local next_at = redis.call("ZRANGE", due, 0, 0, "WITHSCORES")[2]
redis.call("ZADD", due, next_at or "+inf", "")
local left_ms = next_at and math.max(math.ceil(tonumber(next_at)) - now_ms, 0) or -1
return { OK, left_ms, unpack(topics) }
