-- Who holds a lock now, for a refusal or an inspection: at most 100 of them, the last to end first.
-- Returns a flat list: code, mode, count, then owner, token, expires_in_ms for each holder shown.
--- @include lib/hold
--- @include lib/now
local function describe_holders(code, lock, readers, reader_holds)
  local hold = redis.call("GET", lock)
  if not hold then
    return { code, "", 0 }
  end
  local is_exclusive, token, _, _, owner = parse_hold(hold)
  if is_exclusive then
    return { code, "exclusive", 1, owner, token, redis.call("PTTL", lock) }
  end
  local now_ms = redis_now_ms()
  local live = "(" .. now_ms
  local count = redis.call("ZCOUNT", readers, live, "+inf")
  local out = { code, count > 0 and "shared" or "", count }
  local shown = redis.call("ZREVRANGEBYSCORE", readers, "+inf", live, "WITHSCORES", "LIMIT", 0, 100)
  for at = 1, #shown, 2 do
    out[#out + 1] = shown[at]
    out[#out + 1] = string.match(redis.call("HGET", reader_holds, shown[at]), "^%d+")
    out[#out + 1] = tonumber(shown[at + 1]) - now_ms
  end
  return out
end
