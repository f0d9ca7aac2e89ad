-- Whether there are so many permits left, in what look_at_hold found; anything but a held semaphore has all. Only where
-- they would not do are holds cleared away that have ended, at most 1000: each frees a permit at least.
--- @include lib/ended
local function has_permits(held, permits, lock, readers, reader_holds, now_ms)
  if held.mode ~= "semaphore" or held.limit - held.taken >= permits then
    return true
  end
  local freed = clear_ended(readers, reader_holds, now_ms, 1000)
  if freed > 0 then
    held.taken = held.taken - freed
    redis.call("SET", lock, "p" .. held.taken .. " " .. held.limit .. " 0 ", "KEEPTTL")
  end
  return held.limit - held.taken >= permits
end
