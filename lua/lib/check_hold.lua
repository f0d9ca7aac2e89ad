-- Why a token is not that of a hold which runs now: a refusal, or nothing when it is. Without an owner (empty) only an
-- exclusive hold is found: looking through all holders of a shared lock would take as long as there are many.
--- @include lib/own_hold
--- @include lib/quarantine
local function check_hold(lock, readers, reader_holds, quarantine, owner, token)
  -- As in lock.renew: what Redis still has of an older generation is no proof while its leases may run elsewhere.
  if tonumber(token) < string.match(ARGV[1], "^%d+") * 68719476736 then
    local left_ms = quarantine_left(quarantine) or 0
    if left_ms > 0 then
      return { LOCK_QUARANTINE, left_ms }
    end
  end
  if owner == "" then
    local hold = redis.call("GET", lock)
    local mode, _, _, holder = parse_hold(hold or "x0 0 0 ")
    if mode ~= "exclusive" then
      return { LOCK_IS_SHARED, mode }
    end
    owner = holder
  end
  local own = own_hold(lock, readers, reader_holds, owner)
  if not own or own.token ~= token then
    return { LOCK_LOST }
  end
end
