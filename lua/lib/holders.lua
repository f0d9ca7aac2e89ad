-- Who holds a lock now, for a refusal or an inspection: at most 100 of them, the last to end first.
-- Returns a flat list: code, mode, count, then owner, token, expires_in_ms for each holder shown, then how many wait.
--- @include lib/hold
--- @include lib/now
local function describe_holders(code, lock, readers, reader_holds, waiters)
  local out = { code, "", 0 }
  local hold = redis.call("GET", lock)
  if hold then
    local is_exclusive, token, _, owner = parse_hold(hold)
    if is_exclusive then
      out = { code, "exclusive", 1, owner, token, redis.call("PTTL", lock) }
    else
      local now_ms = redis_now_ms()
      local live = "(" .. now_ms
      out[3] = redis.call("ZCOUNT", readers, live, "+inf")
      out[2] = out[3] > 0 and "shared" or ""
      local shown = redis.call("ZREVRANGEBYSCORE", readers, "+inf", live, "WITHSCORES", "LIMIT", 0, 100)
      for at = 1, #shown, 2 do
        out[#out + 1] = shown[at]
        out[#out + 1] = string.match(redis.call("HGET", reader_holds, shown[at]), "^%d+")
        out[#out + 1] = tonumber(shown[at + 1]) - now_ms
      end
    end
  end
  out[#out + 1] = redis.call("ZCARD", waiters)
  return out
end
