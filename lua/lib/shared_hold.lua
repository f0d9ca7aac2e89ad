-- Adds one shared hold, clearing away at most 100 that have ended.
--- @include lib/last_reader
local function hold_shared(lock, readers, reader_holds, owner, token, ttl_ms, now_ms)
  local ended = redis.call("ZRANGEBYSCORE", readers, "-inf", now_ms, "LIMIT", 0, 100)
  for _, gone in ipairs(ended) do
    redis.call("ZREM", readers, gone)
    redis.call("HDEL", reader_holds, gone)
  end
  redis.call("SET", lock, "s0 0 0 ", "NX")
  redis.call("HSET", reader_holds, owner, token .. " " .. ttl_ms)
  redis.call("ZADD", readers, now_ms + ttl_ms, owner)
  end_with_last_reader(lock, readers, reader_holds)
end
