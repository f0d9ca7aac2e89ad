-- For how long a hold may be renewed yet, of what lib/record has; more than any lease when nothing limits it.
local function hold_left(more, now_ms)
  return more and more.max_hold_ms > 0 and more.granted_at + more.max_hold_ms - now_ms or math.huge
end
