-- Clears away at most `most` holds that have ended, of a shared lock or a semaphore. Returns the permits that they had,
-- each counted once, for it goes with its record.
local function clear_ended(readers, reader_holds, now_ms, most)
  local ended, permits = redis.call("ZRANGEBYSCORE", readers, "-inf", now_ms, "LIMIT", 0, most), 0
  for _, gone in ipairs(ended) do
    local record = redis.call("HGET", reader_holds, gone) or ""
    permits = permits + (string.match(record, "^%d+ %d+ %d+ (%d+) ") or 0)
    redis.call("ZREM", readers, gone)
    redis.call("HDEL", reader_holds, gone)
  end
  return permits
end
