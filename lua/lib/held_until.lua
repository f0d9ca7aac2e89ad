-- When a lock is free again if nobody renews or releases; 0 when it is free now.
--- @include lib/hold
local function held_until(lock, readers, now_ms)
  local hold = redis.call("GET", lock)
  if not hold then
    return 0
  end
  if parse_hold(hold) == "exclusive" then
    return now_ms + math.max(redis.call("PTTL", lock), 1)
  end
  local last = tonumber(redis.call("ZRANGE", readers, -1, -1, "WITHSCORES")[2] or 0)
  return last > now_ms and last or 0
end
