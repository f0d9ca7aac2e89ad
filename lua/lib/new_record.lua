-- What lib/record has of a hold that is granted as lib/detail says it was asked for.
local function new_record(asked, now_ms)
  if asked.is_plain then
    return
  end
  return {
    holds = asked.is_reentrant and 1 or 0,
    permits = asked.permits,
    granted_at = now_ms,
    max_hold_ms = asked.max_hold_ms,
    metadata = asked.metadata,
  }
end
