-- Who holds a lock now, for a refusal or an inspection: at most 100 of them, the last to end first.
-- Returns two flat lists. The first: code, mode, count, then owner, token, expires_in_ms for each holder shown, then
-- how many wait. The second, for the end of the reply, is empty when all are plain: limit (0 unless it is a semaphore)
-- and an empty value, then two values for each that is more: "number holds permits hold_left_ms", with its number from
-- 1 among those shown, and its metadata.
--- @include lib/hold
--- @include lib/now
--- @include lib/record
local function tell_more(about, number, more, now_ms)
  if more then
    about[1], about[2] = about[1] or "0", ""
    local hold_left_ms = more.max_hold_ms > 0 and math.max(0, more.granted_at + more.max_hold_ms - now_ms) or 0
    about[#about + 1] = table.concat({ number, more.holds, more.permits, hold_left_ms }, " ")
    about[#about + 1] = more.metadata
  end
end

local function describe_holders(code, lock, readers, reader_holds, waiters)
  local out, about = { code, "", 0 }, {}
  local hold = redis.call("GET", lock)
  if hold then
    local mode, token, limit, owner, has_more = parse_hold(hold)
    if mode == "exclusive" then
      out = { code, mode, 1, owner, token, redis.call("PTTL", lock) }
      local record = has_more and redis.call("HGET", reader_holds, owner)
      if record then
        local _, _, more = parse_record(record)
        tell_more(about, 1, more, redis_now_ms())
      end
    else
      local now_ms = redis_now_ms()
      local live = "(" .. now_ms
      out[3] = redis.call("ZCOUNT", readers, live, "+inf")
      if out[3] > 0 then
        out[2] = mode
        about = mode == "semaphore" and { limit, "" } or about
      end
      local shown = redis.call("ZREVRANGEBYSCORE", readers, "+inf", live, "WITHSCORES", "LIMIT", 0, 100)
      for at = 1, #shown, 2 do
        local held_token, _, more = parse_record(redis.call("HGET", reader_holds, shown[at]))
        out[#out + 1] = shown[at]
        out[#out + 1] = held_token
        out[#out + 1] = tonumber(shown[at + 1]) - now_ms
        tell_more(about, (at + 1) / 2, more, now_ms)
      end
    end
  end
  out[#out + 1] = redis.call("ZCARD", waiters)
  return out, about
end
