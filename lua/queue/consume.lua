--- queue.consume: deliver the next messages of a topic.
-- Promises: a delivered message is invisible until its visibility timeout has passed by Redis time, and is delivered
--   again after it unless it was acknowledged; nothing is ever taken out of the topic here.
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
--   4 max: how many messages at the most
--   5 visibility_ms: how long they stay invisible, ms
-- Replies:
--   OK [id receipt attempt record]: receipt is generation.attempt.delivered_ms.id; record is the publish time in ms, a
--     space, and the payload
-- Complexity: O(n log f) with n = max, at most 100, and f in flight; at most 100 lapsed and 100 due messages move
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
local messages, ready, delayed, inflight = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local generation = string.match(ARGV[1], "^%d+")

local function deliver(reply, id, delivery, record)
  reply[#reply + 1] = id
  reply[#reply + 1] = generation .. "." .. delivery .. "." .. id
  reply[#reply + 1] = tonumber(string.match(delivery, "^%d+"))
  reply[#reply + 1] = record
end

-- Payloads are not copied into the kept outcome; deliveries that have been acknowledged, have lapsed or were made
-- again since are left out of a repeat, for their receipts no longer count.
if first_outcome then
  local again = { OK }
  for at = 2, #first_outcome, 2 do
    local id, delivery = first_outcome[at], first_outcome[at + 1]
    local ends_at = redis.call("ZSCORE", inflight, id)
    if ends_at and tonumber(ends_at) > now_ms and redis.call("HGET", messages, "\1" .. id) == delivery then
      deliver(again, id, delivery, redis.call("HGET", messages, id))
    end
  end
  return again
end

-- Lapsed deliveries go to the head, oldest first, so that they keep their place before newer messages.
local lapsed = redis.call("ZRANGEBYSCORE", inflight, "-inf", now_ms, "LIMIT", 0, 100)
for at = #lapsed, 1, -1 do
  redis.call("ZREM", inflight, lapsed[at])
  redis.call("LPUSH", ready, lapsed[at])
end
local due = redis.call("ZRANGEBYSCORE", delayed, "-inf", now_ms, "LIMIT", 0, 100)
for _, id in ipairs(due) do
  redis.call("ZREM", delayed, id)
  redis.call("RPUSH", ready, id)
end

local reply, outcome = { OK }, { OK }
local ends_at = now_ms + ARGV[5]
local bytes = 0
for _ = 1, math.min(tonumber(ARGV[4]), 100) do
  local id = redis.call("LPOP", ready)
  if not id then
    break
  end
  local found = redis.call("HMGET", messages, id, "\1" .. id)
  local record = found[1]
  -- An id without a record is what a partial data loss leaves behind: there is nothing to deliver.
  if record then
    local attempt = tonumber(string.match(found[2] or "0", "^%d+")) + 1
    local delivery = attempt .. "." .. now_ms
    redis.call("HSET", messages, "\1" .. id, delivery)
    -- Fractions of a millisecond keep the order of a batch when it lapses together.
    redis.call("ZADD", inflight, ends_at + #outcome / 4096, id)
    deliver(reply, id, delivery, record)
    outcome[#outcome + 1] = id
    outcome[#outcome + 1] = delivery
    bytes = bytes + #record
    if bytes > 4194304 then
      break
    end
  end
end
if #reply > 1 then
  keep_outcome(outcome)
end
return reply
