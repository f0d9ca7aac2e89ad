--- queue.nack: give a delivered message back.
-- Promises: the message is delivered again, now or after delay_ms; its count of deliveries stays.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 messages: records and delivery counts by id, a hash
--   4 ready: ids to deliver, a list
--   5 delayed: ids by due time, a sorted set
--   6 inflight: ids by end of visibility, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 id: of the message
--   5 delivery: attempt and time of its delivery
--   6 generation: of its delivery
--   7 delay_ms: how long it stays invisible first, ms
-- Replies:
--   OK: the message waits to be delivered again
-- Complexity: O(log f) with f in flight or delayed
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
--- @include lib/delivery
if first_outcome then
  return first_outcome
end
local ready, delayed, inflight, id = KEYS[4], KEYS[5], KEYS[6], ARGV[4]
local code = judge_delivery(KEYS[3], inflight, id, ARGV[5], ARGV[6])
if code ~= OK then
  return { code }
end
redis.call("ZREM", inflight, id)
if ARGV[7] == "0" then
  redis.call("LPUSH", ready, id)
else
  redis.call("ZADD", delayed, now_ms + ARGV[7], id)
end
return keep_outcome({ OK })
