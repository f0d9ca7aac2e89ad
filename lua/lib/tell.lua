-- Keeps the latest time that a node was told.
--- @include lib/told
local function tell(waiter_info, ends_at)
  if ends_at > told_until(waiter_info) + told_slack_ms then
    redis.call("HSET", waiter_info, "", string.format("%.0f", ends_at))
  end
end
