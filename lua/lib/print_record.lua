-- The record that lib/record reads; `more` is nil for a plain hold.
local function print_record(token, ttl_ms, more)
  if not more then
    return token .. " " .. ttl_ms
  end
  local numbers = { more.holds, more.permits, more.granted_at, more.max_hold_ms }
  return token .. " " .. ttl_ms .. " " .. table.concat(numbers, " ") .. " " .. more.metadata
end
