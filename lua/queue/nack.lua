--- queue.nack: give a delivered message back, or give it up.
-- Promises: the message is delivered again, at once or after a delay; its count of deliveries stays. One that was
--   delivered max_deliveries times, or is given up with a reason, is a dead letter. An ordering key keeps its order.
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
--   7 delay_ms: how long it stays invisible first, ms
--   8 backs_off: 1 for a delay_ms that gives way to the topic's back-off, empty = it counts
--   9 reason: why it is given up, empty = it is given back
-- Replies:
--   OK state delay_ms: ready, delayed, dead or expired
-- Complexity: O(log m) with m messages of the topic that are not plainly ready
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/clock
--- @include lib/once
--- @include lib/delivery
if first_outcome then
  return first_outcome
end
--- @include lib/bury
--- @include lib/delivered
--- @include lib/erase
--- @include lib/takers
local id, reason = ARGV[4], ARGV[9]
local code, delivered = judge_delivery(messages, inflight, id, ARGV[5], ARGV[6])
if code ~= OK then
  return { code }
end
local attempt = tonumber(string.match(delivered, "^%d+"))

-- Twice as long for each delivery, up to a maximum; jitter takes up to so many percent off, so that what failed
-- together does not come back together. The id decides, and not chance, so that replicas agree.
local function back_off()
  local delay_ms = math.min(topic.backoff_ms * 2 ^ math.min(attempt - 1, 30), topic.backoff_max_ms or 3600000)
  local part = tonumber(string.sub(redis.sha1hex(id .. delivered), 1, 6), 16) / 16777216
  return math.floor(delay_ms * (1 - (topic.backoff_jitter or 0) / 100 * part))
end

local priority, expires_at, key = parse_delivered(delivered)
local backs_off = ARGV[8]
local delay_ms = backs_off == "1" and topic.backoff_ms and back_off() or tonumber(ARGV[7])
local state = "ready"
redis.call("ZREM", inflight, id)
if expires_at > 0 and expires_at <= now_ms and reason == "" then
  state = "expired"
  erase(id, key)
  redis.call("HINCRBY", flow, "expired", 1)
elseif reason ~= "" or attempt >= (topic.max_deliveries or 5) then
  state = "dead"
  bury(id, reason ~= "" and reason or "max_deliveries", key)
elseif delay_ms > 0 then
  state = "delayed"
  redis.call("ZADD", delayed, now_ms + delay_ms, id)
  expect_by(now_ms + delay_ms)
else
  make_ready(id, priority, true)
end
if packed_settings then
  wake_takers()
end
return keep_outcome({ OK, state, state == "delayed" and delay_ms or 0 })
