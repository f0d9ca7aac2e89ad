-- What an owner holds now: nothing, or the token and lease of its hold, whether that is exclusive, and the time (of a
-- shared hold only).
--- @include lib/hold
--- @include lib/now
--- @include lib/reader
local function own_hold(lock, readers, reader_holds, owner)
  local hold = redis.call("GET", lock)
  if not hold then
    return
  end
  local is_exclusive, token, ttl_ms, holder = parse_hold(hold)
  if is_exclusive then
    if holder == owner then
      return token, ttl_ms, true
    end
    return
  end
  local now_ms = redis_now_ms()
  local reader = redis.call("HGET", reader_holds, owner)
  if reader and ends_of_reader(readers, owner) > now_ms then
    token, ttl_ms = string.match(reader, "^(%d+) (%d+)$")
    return token, ttl_ms, false, now_ms
  end
end
