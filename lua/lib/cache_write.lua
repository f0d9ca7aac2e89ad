-- Stores what stands under a cache key from the version `numeral` on, for kept_ms (0 = for ever), and tells every near
-- cache.
local function write_entry(entry, numeral, stored, kept_ms, channel)
  if kept_ms == 0 then
    redis.call("SET", entry, stored)
  else
    redis.call("SET", entry, stored, "PX", kept_ms)
  end
  redis.call("PUBLISH", channel, numeral .. " " .. entry)
end
