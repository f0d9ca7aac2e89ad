--- queue.purge: remove messages of a topic for good.
-- Promises: messages in flight stay, but when the whole topic goes; nothing of it is left then.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 state: ready, delayed, waiting or dead; topic stands for all there is, empty = those with the ids that follow
--   5 is_forced: 1 for a topic that goes even while messages of it are in flight, empty = it stays then
--   6+ id: of a message, empty = those in the state
-- Replies:
--   OK removed more: so many messages; more = 1 when another call has more to do
--   TOPIC_IN_USE why: refused, messages are inflight, or the topic has subscriptions, or is a subscription that was
--     not given up with queue.unsubscribe
--   TOPIC_UNKNOWN: refused, the whole topic is to go, and nothing is there
-- Complexity: O(n log m) with n removed, at most 1000 a call, and m in the state
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/discard
--- @include lib/expect
--- @include lib/ghosts
--- @include lib/takers
local state = ARGV[4]
local removed, purge_max = 0, 1000
if state == "topic" and (topic.subscriptions or topic.subscription and not topic.is_leaving) then
  return { TOPIC_IN_USE, topic.subscription and "subscription" or "subscriptions" }
end
if state == "topic" and redis.call("EXISTS", messages, settings) == 0 then
  return { TOPIC_UNKNOWN }
end
if state == "topic" and ARGV[5] ~= "1" and redis.call("ZCOUNT", inflight, "(" .. now_ms, "+inf") > 0 then
  return { TOPIC_IN_USE, "inflight" }
end

local function discard_all(ids)
  for _, id in ipairs(ids) do
    discard(id)
    removed = removed + 1
  end
end

-- Popped from where they are, and not left there to be passed over.
local function purge_ready()
  local popped = redis.call("ZPOPMIN", urgent, purge_max)
  for at = 1, #popped, 2 do
    local _, _, key = attributes_of(redis.call("HGET", messages, popped[at]) or "")
    erase(popped[at], key)
    removed = removed + 1
  end
  for _, id in ipairs(redis.call("LPOP", ready, math.max(purge_max - removed, 1)) or {}) do
    if not passed_over(id) then
      local _, _, key = attributes_of(redis.call("HGET", messages, id) or "")
      erase(id, key)
      removed = removed + 1
    end
  end
  return redis.call("EXISTS", urgent, ready) > 0
end

local function purge_set(set)
  discard_all(redis.call("ZRANGE", set, 0, math.max(purge_max - removed, 1) - 1))
  return redis.call("EXISTS", set) == 1
end

local function purge_line()
  for _, place in ipairs(redis.call("ZRANGE", line, 0, math.max(purge_max - removed, 1) - 1)) do
    discard(string.match(place, "^%Z+%z%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d(.*)$"))
    removed = removed + 1
  end
  return redis.call("EXISTS", line) == 1
end

local function purge_ids()
  for at = 6, math.min(#ARGV, 5 + purge_max) do
    local id = ARGV[at]
    if redis.call("HEXISTS", messages, id) == 1 and not redis.call("ZSCORE", inflight, id) then
      discard(id)
      removed = removed + 1
    end
  end
  return false
end

-- What waits goes first, so that it does not become ready meanwhile.
local function purge_topic()
  local more = purge_line() or purge_set(delayed) or purge_set(inflight) or purge_ready() or purge_set(dead)
  if not more then
    redis.call("UNLINK", messages, settings, expiring, busy, seen, ghosts, flow)
    redis.call("ZREM", due, ready)
  end
  return more
end

local more
if state == "topic" then
  more = purge_topic()
elseif state == "ready" then
  more = purge_ready()
elseif state == "waiting" then
  more = purge_line()
elseif state == "" then
  more = purge_ids()
else
  more = purge_set(state == "dead" and dead or delayed)
end
if state ~= "topic" and packed_settings then
  wake_takers()
  -- The owner clears a list in which nothing but removed ids is left.
  expect_by(now_ms)
end
return keep_outcome({ OK, removed, more and 1 or 0 })
