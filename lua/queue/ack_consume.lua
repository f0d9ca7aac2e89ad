--- queue.ack_consume: take delivered messages out of a topic for good, and deliver its next ones.
-- Promises: the same as queue.ack and then queue.consume, in one step; with if_acked nothing is delivered when nothing was
--   acknowledged. A consumer that waits has the place under the limits that an acknowledgement frees before the caller.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 max: how many messages to deliver at the most
--   5 visibility_ms: how long they stay invisible, ms
--   6 is_default: 1 for a visibility_ms that gives way to what is set for the topic, empty = it counts
--   7 consumer: who asks
--   8 if_acked: 1 = deliver nothing when nothing was acknowledged, empty = deliver in any case
--   9+ id: of a message to acknowledge
--   10+ delivery: attempt and time of its delivery, empty = the current one
--   11+ generation: of its delivery, empty = the current one
-- Replies:
--   OK [code] [id receipt attempt record]: for each message to acknowledge OK or the code of its refusal; then what was
--     delivered, as queue.consume says it
-- Complexity: O(n log f) with n messages acknowledged and delivered, at most 1000 each, and f in flight; at most 100 of
--   each kind that is due are tended
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/clock
--- @include lib/once
--- @include lib/again
local first_named = 9
if first_outcome then
  local again, from = {}, (#ARGV - first_named + 1) / 3 + 2
  for at = 1, from - 1 do
    again[at] = first_outcome[at]
  end
  return deliver_again(again, from)
end
local taker = ""
--- @include lib/plainly
if not is_plain and not KEYS[18] then
  return { TOPIC_KEYS_WANTED, 0 }
end
local reply, outcome = { OK }, {}
--- @include lib/acknowledge
if #acked == 0 and ARGV[8] == "1" then
  return reply
end
for at, code in ipairs(reply) do
  outcome[at] = code
end
local unchanged = #acked > 0 and 0 or #outcome
--- @include lib/take_plain
--- @include lib/all_keys
--- @include lib/settle
-- Whoever was woken for a place that came free is expected now, too.
due_at = tonumber(redis.call("ZSCORE", due, ready) or nil)
--- @include lib/tend_first
--- @include lib/take
take()
if #outcome > unchanged then
  keep_outcome(outcome)
end
return reply
