-- What keeps a newcomer out of the lock turned to, whoever waits for it: nothing, its hold, or too many shared holders.
local function keeps_out(owner, mode, now_ms)
  local held = look_at_hold(lock, readers, now_ms)
  if not held.mode then
    return
  end
  if held.mode ~= mode or mode == "exclusive" or ends_of_reader(readers, owner) > now_ms then
    return LOCK_HELD
  end
  return held.live >= 10000 and LOCK_HOLDERS_FULL or nil
end
