-- Until when nodes were told that a lock is held (see lib/waiter). Times are taken as the same that differ by less than
-- this: no lease ends later than that unnoticed, and two readings of one clock cost no message.
local told_slack_ms = 50
local function told_until(waiter_info)
  return tonumber(redis.call("HGET", waiter_info, "") or 0)
end
