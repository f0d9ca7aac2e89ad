-- For whoever makes the end of a hold come sooner: those who wait would look too late.
--- @include lib/told
local function tell_if_sooner(lock, waiter_info, wake_channel, ends_at)
  if ends_at + told_slack_ms < told_until(waiter_info) then
    redis.call("HSET", waiter_info, "", string.format("%.0f", ends_at))
    redis.call("PUBLISH", wake_channel, lock)
  end
end
