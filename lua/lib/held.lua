-- What stands in the way of a newcomer: mode (nil when the lock is free) and live, how many hold it; of a semaphore
-- also taken and limit.
--- @include lib/hold
local function look_at_hold(lock, readers, now_ms)
  local hold = redis.call("GET", lock)
  if not hold then
    return { live = 0 }
  end
  local mode, taken, limit = parse_hold(hold)
  if mode == "exclusive" then
    return { mode = mode, live = 1 }
  end
  local live = redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf")
  if live == 0 then
    return { live = 0 }
  end
  if mode == "semaphore" then
    return { mode = mode, live = live, taken = tonumber(taken), limit = tonumber(limit) }
  end
  return { mode = mode, live = live }
end
