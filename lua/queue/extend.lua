--- queue.extend: set the time a delivery has left before its message becomes visible again.
-- Promises: the visibility timeout ends visibility_ms from now by Redis time, never added to what was left.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 messages: records and delivery counts by id, a hash
--   4 inflight: ids by end of visibility, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 id: of the message
--   5 delivery: attempt and time of its delivery
--   6 generation: of its delivery
--   7 visibility_ms: new time left, ms
-- Replies:
--   OK: the message stays invisible for visibility_ms from now
-- Complexity: O(log f) with f in flight
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
--- @include lib/delivery
local inflight, id = KEYS[4], ARGV[4]
local code = judge_delivery(KEYS[3], inflight, id, ARGV[5], ARGV[6])
if code ~= OK then
  return { code }
end
-- Only now: a repeat must not call a delivery extended that has lapsed since.
if first_outcome then
  return first_outcome
end
redis.call("ZADD", inflight, now_ms + ARGV[7], id)
return keep_outcome({ OK })
