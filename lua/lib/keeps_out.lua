-- What keeps a newcomer out of the lock turned to, whoever waits for it: nothing, its hold, or too many shared holders.
local function keeps_out(owner, mode, now_ms)
  local hold = redis.call("GET", lock)
  if not hold then
    return
  end
  if parse_hold(hold) then
    return LOCK_HELD
  end
  local live = redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf")
  if mode == "exclusive" then
    return live > 0 and LOCK_HELD or nil
  end
  if ends_of_reader(readers, owner) > now_ms then
    return LOCK_HELD
  end
  return live >= 10000 and LOCK_HOLDERS_FULL or nil
end
