-- Takes one that waits out of the line; with the last that waits for a semaphore its limit goes.
--- @include lib/waiting_limit
local function leave_line(waiters, waiter_info, waiter, mode)
  redis.call("ZREM", waiters, waiter)
  redis.call("HDEL", waiter_info, waiter)
  if mode == "semaphore" then
    local limit, number = waiting_limit(waiter_info)
    if number > 1 then
      redis.call("HSET", waiter_info, "limit", limit .. " " .. number - 1)
    else
      redis.call("HDEL", waiter_info, "limit")
    end
  end
end
