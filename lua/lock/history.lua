--- lock.history: what is recorded of one lock, the latest first.
-- Promises: changes nothing; looks at 256 entries of the partition in one call.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock: the hold, a string (see lib/hold)
--   3 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 before: as replied by the call before, empty = from the latest
--   3 most: how many entries are wanted
-- Replies:
--   OK before since [entry]: before = where to go on, empty at the end; since = id of the oldest entry of the partition,
--     empty when nothing is recorded; an entry is its id and a list of fields and values
-- Complexity: O(1)
-- Retry: read-only
--- @include lib/fence
local lock, lock_events, before = KEYS[2], KEYS[3], ARGV[2]
local most, looked_at_max = tonumber(ARGV[3]), 256
local oldest = redis.call("XRANGE", lock_events, "-", "+", "COUNT", 1)[1]
local found = redis.call("XREVRANGE", lock_events, before == "" and "+" or "(" .. before, "-", "COUNT", looked_at_max)
local out = { OK, "", oldest and oldest[1] or "" }
for at, entry in ipairs(found) do
  if entry[2][4] == lock then
    out[#out + 1] = entry
  end
  if #out - 3 == most or at == looked_at_max then
    out[2] = entry[1]
    break
  end
end
return out
