-- Consumers that wait for a message, each as `session:number` of the node that parks it. Its score is its place in
-- line; that of one that was woken is the time, negative, until which a message is kept for it. A wake-up only says
-- that there is one: the node takes it with queue.consume. One that does not in time gives way to the next.
--- @include lib/expect
--- @include lib/limits
local wake_ms, woken_max, passed_max = 1000, 1000, 1000

-- How many messages are kept for consumers that were woken.
local function kept_for_woken()
  return redis.call("ZCOUNT", takers, "-inf", "(-" .. now_ms)
end

-- Wakes as many as there are messages for, but never two for one message.
local function wake_takers()
  if redis.call("EXISTS", takers) == 0 then
    return
  end
  local free, woken, passed = deliverable() - kept_for_woken(), 0, 0
  while woken < math.min(free, woken_max) and passed < passed_max do
    local first = redis.call("ZRANGEBYSCORE", takers, 1, "+inf", "LIMIT", 0, 1)[1]
    if not first then
      break
    end
    local session = string.match(first, "^%x+")
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms then
      redis.call("ZREM", takers, first)
      passed = passed + 1
    else
      redis.call("ZADD", takers, -(now_ms + wake_ms), first)
      redis.call("PUBLISH", wake_channel() .. ":" .. session, first)
      woken = woken + 1
    end
  end
  if woken > 0 then
    expect_by(now_ms + wake_ms)
  end
end
