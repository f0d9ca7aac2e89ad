--- queue.ack: take delivered messages out of a topic for good.
-- Promises: only a current delivery is acknowledged; one message's refusal does not touch the others. The next message
--   of an ordering key becomes ready, and a consumer that waits for a place under the limits is woken.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-18 lib/topic
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
--- @include lib/delivery
if first_outcome then
  return first_outcome
end
local reply, gone, ids, settled = { OK }, {}, {}, {}
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  local code, delivered = ALREADY_ACKED, nil
  if not gone[id] then
    code, delivered = judge_delivery(KEYS[3], KEYS[6], id, ARGV[at + 1], ARGV[at + 2])
  end
  if code == OK then
    gone[id] = true
    ids[#ids + 1] = id
    settled[#settled + 1] = delivered
  end
  reply[#reply + 1] = code
end
for from = 1, #ids, 500 do
  local fields, to = {}, math.min(from + 499, #ids)
  for at = from, to do
    fields[#fields + 1] = ids[at]
    fields[#fields + 1] = "\1" .. ids[at]
  end
  redis.call("ZREM", KEYS[6], unpack(ids, from, to))
  redis.call("HDEL", KEYS[3], unpack(fields))
end
if #ids == 0 then
  return reply
end
if not packed_settings then
  return keep_outcome(reply)
end
--- @include lib/topic
--- @include lib/delivered
--- @include lib/pass_turn
--- @include lib/takers
for at, delivered in ipairs(settled) do
  local _, expires_at, key = parse_delivered(delivered)
  if expires_at > 0 then
    redis.call("ZREM", expiring, ids[at])
  end
  pass_turn(key)
end
wake_takers()
return keep_outcome(reply)
