-- Removes what stands under a cache key and tells every near cache, also of what was not there. 1 if there was a value.
--- @include lib/cache_count
local function remove_entry(entry, channel)
  -- Version 0: nothing but a lease to fill, or the knowledge that there is no value.
  local first = redis.call("GETRANGE", entry, 0, 0)
  local was_there = redis.call("UNLINK", entry) == 1 and first ~= "0"
  local _, numeral = next_version()
  redis.call("PUBLISH", channel, numeral .. " " .. entry)
  return was_there and 1 or 0
end
