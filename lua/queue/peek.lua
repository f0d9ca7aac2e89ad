--- queue.peek: a page of the messages in one state.
-- Promises: changes nothing. Messages that move while pages are read may be missed or seen twice.
-- KEYS:
--   1 fence: the partition's fence
--   2 messages: records, deliveries, reasons and places by id, a hash
--   3 ready: ids to deliver of priority 0, a list
--   4 delayed: ids by due time, a sorted set
--   5 inflight: ids by end of visibility, a sorted set
--   6 urgent: ids to deliver of priorities 1 to 9, a sorted set
--   7 line: ids that wait for their ordering key, a sorted set
--   8 dead: ids of dead letters, a sorted set
--   9 ghosts: ids in the list of ready that are to be passed over, a hash
--   10? shared: of a subscription only: payloads and how many have them by id, a hash (see lib/payload)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 state: ready, delayed, inflight, waiting or dead
--   3 offset: how many to pass over
--   4 limit: how many to show at the most, 100
-- Replies:
--   OK next [id at_ms delivered record reason]: next is the offset of the following page, -1 at the end; at_ms ends the
--     delay or the visibility, or is the time of death; delivered is what lib/delivered says; each may be empty
-- Complexity: O(log m + n) with m messages in the state and n = limit; O(offset) in a list. Beyond its first 10 000 a
--   message that was removed and published again may be shown twice
-- Retry: read-only
--- @include lib/fence
local ready, delayed, inflight, urgent, line, dead = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local ghosts, shared = KEYS[9], KEYS[10]
--- @include lib/removed
local state = ARGV[2]
local offset = tonumber(ARGV[3])
local page_max, bytes_max, look_max = 100, 4194304, 10000
local limit = math.min(ARGV[4], page_max)
local sets = { delayed = delayed, inflight = inflight, waiting = line, dead = dead }

-- Ids of the list, an empty one for one to be passed over. Far behind the head it is not known what comes before.
local function list_page(past, count)
  local ids = redis.call("LRANGE", ready, past, past + count - 1)
  if redis.call("EXISTS", ghosts) == 0 then
    return ids
  end
  if past > 0 and past <= look_max then
    for _, id in ipairs(redis.call("LRANGE", ready, 0, past - 1)) do
      is_removed(id)
    end
  end
  for at, id in ipairs(ids) do
    ids[at] = is_removed(id) and "" or id
  end
  return ids
end

-- Pairs of id and time.
local function page()
  if sets[state] then
    return redis.call("ZRANGE", sets[state], offset, offset + limit - 1, "WITHSCORES")
  end
  local pairs_of = {}
  local first = redis.call("ZRANGE", urgent, offset, offset + limit - 1)
  local past = math.max(offset - redis.call("ZCARD", urgent), 0)
  local rest = limit > #first and list_page(past, limit - #first) or {}
  for _, ids in ipairs({ first, rest }) do
    for _, id in ipairs(ids) do
      pairs_of[#pairs_of + 1] = id
      pairs_of[#pairs_of + 1] = ""
    end
  end
  return pairs_of
end

local found, out, bytes = page(), { OK, -1 }, 0
for at = 1, #found, 2 do
  local id, time = found[at], found[at + 1]
  if state == "waiting" then
    id, time = string.match(id, "^%Z+%z%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d(.*)$"), ""
  end
  local kept = redis.call("HMGET", KEYS[2], id, "\1" .. id, "\2" .. id)
  if kept[1] and shared then
    kept[1] = kept[1] .. (redis.call("HGET", shared, id) or "null")
  end
  if kept[1] then
    if bytes > bytes_max then
      out[2] = offset + (at - 1) / 2
      return out
    end
    bytes = bytes + #kept[1]
    out[#out + 1] = id
    out[#out + 1] = time == "" and "" or string.format("%.0f", math.ceil(tonumber(time)))
    out[#out + 1] = kept[2] or ""
    out[#out + 1] = kept[1]
    out[#out + 1] = kept[3] or ""
  end
end
if #found == 2 * limit then
  out[2] = offset + limit
end
return out
