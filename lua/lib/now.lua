-- Redis TIME, read only on the paths that need it (see lib/clock).
local function redis_now_ms()
  local clock = redis.call("TIME")
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end
