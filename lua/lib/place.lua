-- The place of one that joins a line now, its score in the sorted set of waiters: the time of joining in microseconds,
-- so that a place which was left is never taken again and the youngest wait is known; behind the last in any case.
local function next_place(waiters)
  local clock = redis.call("TIME")
  local last = redis.call("ZRANGE", waiters, -1, -1, "WITHSCORES")[2]
  return string.format("%.0f", math.max((last or 0) + 1, clock[1] * 1000000 + clock[2]))
end
