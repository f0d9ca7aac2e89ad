--- queue.inspect: how many messages a topic has in each state.
-- Promises: changes nothing; a lapsed delivery and a delay that is over count as ready.
-- KEYS:
--   1 fence: the partition's fence
--   2 messages: records and delivery counts by id, a hash
--   3 ready: ids to deliver, a list
--   4 delayed: ids by due time, a sorted set
--   5 inflight: ids by end of visibility, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK ready delayed inflight oldest_age_ms: age of the message next in the ready list, -1 without one
-- Complexity: O(log m) with m delayed or in flight
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
local ready, delayed, inflight = KEYS[3], KEYS[4], KEYS[5]
local still = "(" .. now_ms
local is_delayed = redis.call("ZCOUNT", delayed, still, "+inf")
local is_inflight = redis.call("ZCOUNT", inflight, still, "+inf")
local is_ready = redis.call("LLEN", ready)
  + redis.call("ZCARD", delayed) - is_delayed
  + redis.call("ZCARD", inflight) - is_inflight

local oldest_age_ms = -1
local head = redis.call("LINDEX", ready, 0)
local record = head and redis.call("HGET", KEYS[2], head)
if record then
  oldest_age_ms = now_ms - tonumber(string.match(record, "^%d+"))
end
return { OK, is_ready, is_delayed, is_inflight, oldest_age_ms }
