-- How many messages of a topic may be delivered now. Needs now_ms.
local function ready_count()
  local removed = tonumber(redis.call("HGET", ghosts, "") or 0)
  return redis.call("LLEN", ready) + redis.call("ZCARD", urgent) - removed
end

-- The time up to which the rate is used up, and what one delivery uses of it; a second's worth may come at once.
local function rate_used()
  local burst_ms = math.max(1000, 1000 / topic.rate_per_s)
  return math.max(tonumber(redis.call("HGET", flow, "rate_used") or 0), now_ms - burst_ms), 1000 / topic.rate_per_s
end

local function deliverable()
  if topic.paused_out then
    return 0
  end
  local count = ready_count()
  if topic.concurrency then
    count = math.min(count, topic.concurrency - redis.call("ZCOUNT", inflight, "(" .. now_ms, "+inf"))
  end
  if topic.rate_per_s then
    local used, each_ms = rate_used()
    count = math.min(count, math.floor((now_ms - used) / each_ms + 0.000001))
  end
  return math.max(count, 0)
end
