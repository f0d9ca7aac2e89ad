-- Who holds a lock now, for a refusal or an inspection: at most 100 of them, the last to end first.
-- Needs now_ms. Returns a flat list mode, count, then owner, token, expires_in_ms for each holder shown.
local function describe_holders(lock, readers)
  local held = redis.call("HMGET", lock, "mode", "owner", "token", "expires")
  local out = { "", 0 }
  if held[1] == "exclusive" then
    local left_ms = tonumber(held[4]) - now_ms
    if left_ms > 0 then
      out = { "exclusive", 1, held[2], held[3], left_ms }
    end
  elseif held[1] == "shared" then
    local live = "(" .. now_ms
    local shown = redis.call("ZREVRANGEBYSCORE", readers, "+inf", live, "WITHSCORES", "LIMIT", 0, 100)
    if #shown > 0 then
      out = { "shared", redis.call("ZCOUNT", readers, live, "+inf") }
      for at = 1, #shown, 2 do
        out[#out + 1] = shown[at]
        out[#out + 1] = redis.call("HGET", lock, "token:" .. shown[at])
        out[#out + 1] = tonumber(shown[at + 1]) - now_ms
      end
    end
  end
  return out
end
