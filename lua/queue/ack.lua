--- queue.ack: take delivered messages out of a topic for good.
-- Promises: only a current delivery is acknowledged; one message's refusal does not touch the others. The next message
--   of an ordering key becomes ready, and a consumer that waits for a place under the limits is woken.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4+ id: of a message
--   5+ delivery: attempt and time of its delivery, empty = the current one
--   6+ generation: of its delivery, empty = the current one
-- Replies:
--   OK [code]: for each message OK or the code of its refusal
-- Complexity: O(n log f) with n messages, at most 1000, and f in flight
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
local reply, first_named = { OK }, 4
--- @include lib/acknowledge
if #acked == 0 then
  return reply
end
if not packed_settings then
  return keep_outcome(reply)
end
--- @include lib/settle
return keep_outcome(reply)
