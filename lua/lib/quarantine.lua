-- After a loss of data a partition's token counter stands aside, in the quarantine's key: "<ends_at_ms> <counter>". So
-- a grant finds no counter, and only then asks whether that is a quarantine or another loss: locks that are in no
-- quarantine pay nothing for it.
-- Returns how many ms are left (0 when it is over) and the counter set aside; nothing when there is no quarantine.
--- @include lib/now
local function quarantine_left(quarantine)
  local ends_at, set_aside = string.match(redis.call("GET", quarantine) or "", "^(%d+) (%d+)$")
  if ends_at then
    return math.max(0, tonumber(ends_at) - redis_now_ms()), set_aside
  end
end
