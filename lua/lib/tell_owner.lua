-- The owner of a partition sleeps until the first member of a set is due (see queue.due, queue.ticks); the member
-- without a name is when it will look again. It is told when something comes sooner.
--- @include lib/wake_channel
local function tell_owner(due_set, due_ms)
  local told_at = redis.call("ZSCORE", due_set, "")
  if not told_at or tonumber(due_ms) < tonumber(told_at) then
    redis.call("PUBLISH", wake_channel(), "@" .. due_set)
  end
end
