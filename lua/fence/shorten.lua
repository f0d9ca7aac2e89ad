--- fence.shorten: end a quarantine earlier, once it is known that no lease of an older generation runs longer.
-- Promises: a quarantine is only ever shortened; nodes are told "*" and the beginning of the partition's keys, so that
--   those who wait look again.
-- KEYS:
--   1 fence: the partition's fence
--   2 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 quarantine_ms: time left from now at the most, ms
--   3 wake_channel: where waiting nodes listen
-- Replies:
--   OK left_ms: the time left now in ms, -1 = there is no quarantine
-- Complexity: O(1)
-- Retry: safe
--- @include lib/fence
--- @include lib/quarantine
local quarantine = KEYS[2]
local quarantine_ms = tonumber(ARGV[2])
local left_ms, set_aside = quarantine_left(quarantine)
if not left_ms then
  return { OK, -1 }
end
if left_ms <= quarantine_ms then
  return { OK, left_ms }
end
redis.call("SET", quarantine, string.format("%.0f %s", redis_now_ms() + quarantine_ms, set_aside))
redis.call("PUBLISH", ARGV[3], "*" .. string.match(KEYS[1], "^.*:"))
return { OK, quarantine_ms }
