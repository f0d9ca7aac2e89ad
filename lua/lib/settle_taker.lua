-- One that got something leaves the line. One that got nothing keeps its place, or has the first one if it was woken
-- in vain.
local function settle_taker(has_taken)
  if taker == "" then
    return
  end
  local session_ms = tonumber(ARGV[9]) or 0
  if has_taken or session_ms == 0 then
    if redis.call("ZREM", takers, taker) == 1 and not has_taken then
      wake_takers()
    end
    return
  end
  mark_special()
  local session = string.match(taker, "^%x+")
  redis.call("ZADD", sessions, now_ms + session_ms, session)
  redis.call("PEXPIRE", sessions, session_ms)
  local score = tonumber(redis.call("ZSCORE", takers, taker) or 0)
  if score < 0 then
    local first = redis.call("ZRANGEBYSCORE", takers, 1, "+inf", "WITHSCORES", "LIMIT", 0, 1)[2]
    redis.call("ZADD", takers, (first or 1000000000001) - 1, taker)
  elseif score == 0 then
    local last = redis.call("ZREVRANGEBYSCORE", takers, "+inf", 1, "WITHSCORES", "LIMIT", 0, 1)[2]
    redis.call("ZADD", takers, (last or 1000000000000) + 1, taker)
  end
  -- Nobody waits for longer than this.
  redis.call("PEXPIRE", takers, 120000)
  if topic.rate_per_s and ready_count() > 0 then
    local used, each_ms = rate_used()
    expect_by(math.ceil(used + each_ms))
  end
end
