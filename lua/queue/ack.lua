--- queue.ack: take delivered messages out of a topic for good.
-- Promises: only a current delivery is acknowledged; one message's refusal does not touch the others.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 messages: records and delivery counts by id, a hash
--   4 inflight: ids by end of visibility, a sorted set
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
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
--- @include lib/delivery
if first_outcome then
  return first_outcome
end
local messages, inflight = KEYS[3], KEYS[4]
local reply, acked = { OK }, 0
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  local code = judge_delivery(messages, inflight, id, ARGV[at + 1], ARGV[at + 2])
  if code == OK then
    redis.call("ZREM", inflight, id)
    redis.call("HDEL", messages, id, "\1" .. id)
    acked = acked + 1
  end
  reply[#reply + 1] = code
end
if acked > 0 then
  keep_outcome(reply)
end
return reply
