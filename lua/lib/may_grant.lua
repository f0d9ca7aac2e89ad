-- For how many ms nothing may be granted yet: 0 now, more in a quarantine, nothing when the counter is lost. Whoever
-- touches a quarantine first that is over ends it, the owner's duty or a request.
-- Needs counter_is_lost.
--- @include lib/lift
--- @include lib/quarantine
local function grants_begin_in_ms(tokens, quarantine)
  if not counter_is_lost then
    return 0
  end
  local left_ms, set_aside = quarantine_left(quarantine)
  if left_ms == 0 then
    lift_quarantine(tokens, quarantine, set_aside)
  end
  return left_ms
end
