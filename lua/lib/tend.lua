-- Does what is due in a topic: deliveries that lapsed come back, delays end, lives end, consumers are woken. Bounded;
-- what is left over is due at once again. Needs now_ms. Keeps `due` true: nothing falls due before what it says.
--- @include lib/bury
--- @include lib/delivered
--- @include lib/discard
--- @include lib/take_turn
--- @include lib/takers
local tend_max, retry_ms = 100, 1000

local function over(set, until_ms)
  return redis.call("ZRANGEBYSCORE", set, "-inf", until_ms, "LIMIT", 0, tend_max)
end

-- Lapsed deliveries go to the head, oldest first, so that they keep their place before newer messages.
local function end_deliveries()
  local lapsed = over(inflight, now_ms)
  for at = #lapsed, 1, -1 do
    local id = lapsed[at]
    local delivered = redis.call("HGET", messages, "\1" .. id) or ""
    local priority, expires_at, key = parse_delivered(delivered)
    redis.call("ZREM", inflight, id)
    if expires_at > 0 and expires_at <= now_ms then
      erase(id, key)
      redis.call("HINCRBY", flow, "expired", 1)
    elseif tonumber(string.match(delivered, "^%d+") or 0) >= (topic.max_deliveries or 5) then
      bury(id, "max_deliveries", key)
    else
      make_ready(id, priority, true)
    end
  end
  return #lapsed
end

local function end_delays()
  local over_now = over(delayed, now_ms)
  for _, id in ipairs(over_now) do
    local priority, key = 0, ""
    if packed_settings then
      local record, delivered = unpack(redis.call("HMGET", messages, id, "\1" .. id))
      priority, _, key = attributes_of(record or "")
      -- One that was given back has its turn already.
      key = delivered and "" or key
    end
    redis.call("ZREM", delayed, id)
    if take_turn(id, key) then
      make_ready(id, priority)
    end
  end
  return #over_now
end

local function end_lives()
  local ended = over(expiring, now_ms)
  for _, id in ipairs(ended) do
    -- One in flight may still be acknowledged; it ends when it lapses or is given back.
    if redis.call("ZSCORE", inflight, id) then
      redis.call("ZREM", expiring, id)
    else
      discard(id)
      redis.call("HINCRBY", flow, "expired", 1)
    end
  end
  local dead_too_long = over(dead, now_ms - (topic.dead_retention_ms or dead_keep_ms))
  for _, id in ipairs(dead_too_long) do
    redis.call("ZREM", dead, id)
    erase(id, "")
  end
  local forgotten = over(seen, now_ms)
  if #forgotten > 0 then
    redis.call("ZREM", seen, unpack(forgotten))
  end
  return #ended + #dead_too_long + #forgotten
end

local function first_of(set, plus_ms)
  local score = redis.call("ZRANGE", set, 0, 0, "WITHSCORES")[2]
  return score and math.ceil(tonumber(score)) + plus_ms or math.huge
end

local function next_due()
  local at = math.min(first_of(inflight, 0), first_of(delayed, 0), first_of(expiring, 0), first_of(seen, 0))
  if topic.dead_letter_topic and redis.call("EXISTS", dead) == 1 then
    at = math.min(at, now_ms + retry_ms)
  else
    at = math.min(at, first_of(dead, topic.dead_retention_ms or dead_keep_ms))
  end
  local woken = redis.call("ZREVRANGEBYSCORE", takers, "(0", "-inf", "WITHSCORES", "LIMIT", 0, 1)[2]
  if woken then
    at = math.min(at, -tonumber(woken))
  end
  if topic.rate_per_s and redis.call("EXISTS", takers) == 1 and ready_count() > 0 then
    local used, each_ms = rate_used()
    at = math.min(at, math.max(now_ms + 1, math.ceil(used + each_ms)))
  end
  return at
end

-- A list in which there are only ids to be passed over: nobody will pop them, for nothing is to be had.
local function clear_list()
  if packed_settings and redis.call("EXISTS", ghosts) == 1 and ready_count() == redis.call("ZCARD", urgent) then
    redis.call("UNLINK", ready, ghosts)
  end
end

-- Nothing is left of a topic for which nothing was set: it is no longer special.
local function forget_if_gone()
  if packed_settings == cmsgpack.pack({}) and redis.call("EXISTS", messages, takers, seen, ready) == 0 then
    redis.call("DEL", settings, flow, busy, ghosts)
  end
end

-- How many were moved or ended, and when something is due next; nil when nothing is.
local function tend()
  local moved = end_deliveries() + end_delays() + end_lives()
  local late = redis.call("ZRANGEBYSCORE", takers, -now_ms, "(0", "LIMIT", 0, tend_max)
  if #late > 0 then
    redis.call("ZREM", takers, unpack(late))
  end
  clear_list()
  wake_takers()
  local at = next_due()
  if at == math.huge then
    redis.call("ZREM", due, ready)
    forget_if_gone()
    return moved, nil
  end
  expect(math.max(at, now_ms), nil)
  return moved, at
end
