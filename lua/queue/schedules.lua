--- queue.schedules: the schedules of a topic, page by page, and what time it is.
-- Promises: changes nothing.
-- KEYS:
--   1 fence: the partition's fence
--   2 timetable: schedules by their next tick, a sorted set (see lib/timetable)
--   3 schedules: what each is, by topic<nul>name, a hash
--   4 schedule_names: their names in order, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 topic: whose
--   3 after: the last name of the page before, empty = from the first
--   4 limit: how many at the most, at most 100
-- Replies:
--   OK now_ms [name next_at spec]: Redis time; next_at in ms since 1970, empty while it is paused; spec is what its times
--     depend on, a line break, and the rest
-- Complexity: O(log s + n) with s schedules of the partition and n in the page
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
local topic, after, limit = ARGV[2], ARGV[3], ARGV[4]
local from = after == "" and "[" .. topic .. "\0" or "(" .. topic .. "\0" .. after
local most = math.min(limit, 100)
local reply = { OK, string.format("%.0f", now_ms) }
for _, member in ipairs(redis.call("ZRANGEBYLEX", KEYS[4], from, "(" .. topic .. "\1", "LIMIT", 0, most)) do
  local planned = redis.call("ZSCORE", KEYS[2], member) or "inf"
  reply[#reply + 1] = string.sub(member, #topic + 2)
  reply[#reply + 1] = planned ~= "inf" and string.format("%.0f", planned) or ""
  reply[#reply + 1] = redis.call("HGET", KEYS[3], member) or ""
end
return reply
