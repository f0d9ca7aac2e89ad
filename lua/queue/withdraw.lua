--- queue.withdraw: a consumer waits no longer.
-- Promises: the message that was kept for it, if one was, is offered to the next that waits.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-18 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 taker: session:number of the consumer
-- Replies:
--   OK withdrawn: 1, or 0 when it was not in line
-- Complexity: O(log t) with t who wait; wakes at most 1000
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/takers
local withdrawn = redis.call("ZREM", takers, ARGV[4])
if withdrawn == 1 then
  wake_takers()
end
return keep_outcome({ OK, withdrawn })
