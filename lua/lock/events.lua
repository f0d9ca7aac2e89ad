--- lock.events: read on in what is recorded of a partition's locks.
-- Promises: changes nothing; entries come in order, and none is left out between after and the last of them unless
--   is_gap says so.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 after: id of the entry that was read last; empty = from the beginning
--   3 most: how many entries, 256 at the most
-- Replies:
--   OK is_gap [entry]: is_gap = 1 when the entry read last is gone, and maybe others after it: read from the beginning
--     then; an entry is its id and a list of fields and values
-- Complexity: O(n) with n entries replied
-- Retry: read-only
--- @include lib/fence
local lock_events, after = KEYS[2], ARGV[2]
local most = math.min(tonumber(ARGV[3]), 256)
if after ~= "" and #redis.call("XRANGE", lock_events, after, after) == 0 then
  return { OK, 1 }
end
local out = { OK, 0 }
for at, entry in ipairs(redis.call("XRANGE", lock_events, after == "" and "-" or "(" .. after, "+", "COUNT", most)) do
  out[at + 2] = entry
end
return out
