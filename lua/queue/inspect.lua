--- queue.inspect: how many messages a topic has in each state, and what is set for it.
-- Promises: changes nothing; a lapsed delivery and a delay that is over count as ready.
-- KEYS:
--   1 fence: the partition's fence
--   2 messages: records, deliveries, reasons and places by id, a hash
--   3 ready: ids to deliver of priority 0, a list
--   4 delayed: ids by due time, a sorted set
--   5 inflight: ids by end of visibility, a sorted set
--   6 settings: what was set for the topic, packed
--   7 urgent: ids to deliver of priorities 1 to 9, a sorted set
--   8 line: ids that wait for their ordering key, a sorted set
--   9 ghosts: ids in the list of ready that are to be passed over, a hash
--   10 takers: consumers that wait, a sorted set
--   11 dead: ids of dead letters, a sorted set
--   12 flow: counters of the topic, a hash
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK ready delayed inflight oldest_age_ms dead waiting takers expired dropped settings: oldest_age_ms is that of the
--     message next in the list of ready, -1 without one, or behind more than 100 that were removed; waiting is for an ordering key; expired and dropped were
--     removed since the topic was first used
-- Complexity: O(log m) with m delayed or in flight
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
local ready, delayed, inflight, ghosts = KEYS[3], KEYS[4], KEYS[5], KEYS[9]
--- @include lib/removed
local still = "(" .. now_ms
local is_delayed = redis.call("ZCOUNT", delayed, still, "+inf")
local is_inflight = redis.call("ZCOUNT", inflight, still, "+inf")
local is_ready = redis.call("LLEN", ready)
  + redis.call("ZCARD", KEYS[7])
  - (redis.call("HGET", ghosts, "") or 0)
  + redis.call("ZCARD", delayed) - is_delayed
  + redis.call("ZCARD", inflight) - is_inflight

local look_max = 100
local function first_in_list()
  if redis.call("EXISTS", ghosts) == 0 then
    return redis.call("LINDEX", ready, 0)
  end
  for _, id in ipairs(redis.call("LRANGE", ready, 0, look_max - 1)) do
    if not is_removed(id) then
      return id
    end
  end
end

local oldest_age_ms = -1
local head = first_in_list() or redis.call("ZRANGE", KEYS[7], 0, 0)[1]
local record = head and redis.call("HGET", KEYS[2], head)
if record then
  oldest_age_ms = now_ms - tonumber(string.match(record, "^%d+"))
end
local counted = redis.call("HMGET", KEYS[12], "expired", "dropped")
return {
  OK,
  is_ready,
  is_delayed,
  is_inflight,
  oldest_age_ms,
  redis.call("ZCARD", KEYS[11]),
  redis.call("ZCARD", KEYS[8]),
  redis.call("ZCARD", KEYS[10]),
  tonumber(counted[1] or 0),
  tonumber(counted[2] or 0),
  redis.call("GET", KEYS[6]) or "",
}
