--- queue.extend: set the time a delivery has left before its message becomes visible again.
-- Promises: the visibility timeout ends visibility_ms from now by Redis time, never added to what was left, and never
--   later than 12 hours after the delivery.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-18 lib/topic
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
--   EXTENSION_TOO_LONG most_ms: refused; it could be extended by so much yet
-- Complexity: O(log f) with f in flight
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/clock
--- @include lib/once
--- @include lib/topic
--- @include lib/delivery
--- @include lib/expect
local total_max_ms = 43200000
local id = ARGV[4]
local code, delivered = judge_delivery(messages, inflight, id, ARGV[5], ARGV[6])
if code ~= OK then
  return { code }
end
-- Only now: a repeat must not call a delivery extended that has lapsed since.
if first_outcome then
  return first_outcome
end
local ends_at = now_ms + ARGV[7]
local latest = tonumber(string.match(delivered, "^%d+%.(%d+)")) + total_max_ms
if ends_at > latest then
  return { EXTENSION_TOO_LONG, math.max(latest - now_ms, 0) }
end
redis.call("ZADD", inflight, ends_at, id)
expect_by(ends_at)
return keep_outcome({ OK })
