--- queue.kick: make dead letters or delayed messages ready.
-- Promises: a dead letter begins anew, with no deliveries and no end of life; a delayed message keeps its count. Those
--   of an ordering key go to the end of its line.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-18 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 state: dead or delayed
--   5 max: how many of the first in this state, at most 1000, when no ids are given
--   6+ id: of a message, empty = those that max says
-- Replies:
--   OK kicked left: so many became ready, so many are left in the state
-- Complexity: O(n log m) with n messages, at most 1000, and m in the state
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/expect
--- @include lib/attributes
--- @include lib/ready
--- @include lib/take_turn
--- @include lib/takers
local state = ARGV[4]
local from = state == "dead" and dead or delayed

local function chosen()
  if (ARGV[6] or "") ~= "" then
    local ids = {}
    for at = 6, math.min(#ARGV, 1005) do
      ids[#ids + 1] = ARGV[at]
    end
    return ids
  end
  return redis.call("ZRANGE", from, 0, math.min(tonumber(ARGV[5]), 1000) - 1)
end

local function kick(id)
  local record, delivered = unpack(redis.call("HMGET", messages, id, "\1" .. id))
  local priority, expires_at, key = attributes_of(record or "")
  if from == dead then
    redis.call("HDEL", messages, "\1" .. id, "\2" .. id)
    if expires_at > 0 then
      redis.call("HSET", messages, id, (string.gsub(record, "^(%d+\t%d) %d+", "%1 0", 1)))
    end
  elseif delivered then
    key = ""
  end
  if take_turn(id, key) then
    make_ready(id, priority)
  end
end

local kicked = 0
for _, id in ipairs(chosen()) do
  if redis.call("ZREM", from, id) == 1 then
    kick(id)
    kicked = kicked + 1
  end
end
if packed_settings then
  wake_takers()
end
return keep_outcome({ OK, kicked, redis.call("ZCARD", from) })
