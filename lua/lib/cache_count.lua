-- The next version of a partition, as a number and in digits. KEYS[3] counts them; see lib/counter for when it may.
local function next_version()
  local version = redis.call("INCR", KEYS[3])
  return version, string.format("%.0f", version)
end
