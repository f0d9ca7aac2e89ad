--- queue.left: how long a delivery has left before its message becomes visible again.
-- Promises: changes nothing.
-- KEYS:
--   1 fence: the partition's fence
--   2 messages: records, deliveries, reasons and places by id, a hash (see lib/attributes)
--   3 inflight: ids by end of visibility, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 id: of the message
--   3 delivery: attempt and time of its delivery
--   4 generation: of its delivery
-- Replies:
--   OK left_ms since_ms: it ends in left_ms, and was made since_ms ago
-- Complexity: O(1)
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
--- @include lib/delivery
local code, delivered, ends_at = judge_delivery(KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4])
if code ~= OK then
  return { code }
end
return { OK, math.ceil(ends_at - now_ms), now_ms - tonumber(string.match(delivered, "^%d+%.(%d+)")) }
