--- queue.consume: deliver the next messages of a topic, or wait for one.
-- Promises: a delivered message is invisible until its visibility timeout has passed by Redis time, and is delivered
--   again after it unless it was acknowledged, or is a dead letter once it was delivered max_deliveries times. Higher
--   priorities come first, and of one priority the oldest. A message that is kept for a consumer which was woken is not
--   given to another.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 max: how many messages at the most
--   5 visibility_ms: how long they stay invisible, ms
--   6 is_default: 1 for a visibility_ms that gives way to what is set for the topic, empty = it counts
--   7 consumer: who asks
--   8 taker: session:number of a consumer that waits, empty = it does not
--   9 session_ms: how long the taker stands in line when there is nothing for it, ms; 0 = not at all
-- Replies:
--   OK [id receipt attempt record]: receipt is generation.attempt.delivered_ms.id; record is the publish time in ms, a
--     space, and the payload, or has attributes (see lib/attributes)
-- Complexity: O(n log f) with n = max, at most 1000, and f in flight; at most 100 of each kind that is due are tended
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/clock
--- @include lib/once
--- @include lib/again
if first_outcome then
  return deliver_again({ OK }, 2)
end
local taker = ARGV[8]
local reply, outcome, unchanged = { OK }, { OK }, 1
--- @include lib/plainly
--- @include lib/take_plain
--- @include lib/all_keys
--- @include lib/tend_first
--- @include lib/take
--- @include lib/settle_taker
take()
settle_taker(#outcome > unchanged)
if #outcome > unchanged then
  keep_outcome(outcome)
end
return reply
