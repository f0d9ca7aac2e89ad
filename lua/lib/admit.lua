-- Whether a topic takes so many more messages: a refusal, or how many of the oldest must go for them. Needs now_ms.
--- @include lib/erase
--- @include lib/ghosts
--- @include lib/length

-- How many of `count` messages would be stored: each id once, and none that is there or was published too lately.
-- `id_of` gives the id of each by its number; those that are there come into `present`.
local function count_new(count, id_of, present)
  local is_counted, new = {}, 0
  for number = 1, count do
    local id = id_of(number)
    if not is_counted[id] and not present[id] then
      is_counted[id] = true
      present[id] = redis.call("HEXISTS", messages, id) == 1 or nil
      local until_ms = topic.dedup_ms and redis.call("ZSCORE", seen, id)
      if not present[id] and not (until_ms and tonumber(until_ms) > now_ms) then
        new = new + 1
      end
    end
  end
  return new
end

-- `leaving`: how many other messages are taken out in the same step. An id that is in `present` afterwards is there,
-- and is not to be stored even if its message is dropped for the others.
local function admit(count, id_of, present, leaving)
  if topic.paused_in then
    return { TOPIC_PAUSED }
  end
  if not topic.max_length then
    return nil, 0
  end
  local length = length_of_topic()
  local room = topic.max_length - length + (leaving or 0)
  -- Only where it matters: to look for every id costs as much as to store it.
  local new = count > room and count_new(count, id_of, present) or 0
  local excess = new > 0 and math.max(new - room, 0) or 0
  if excess > 0 and (topic.overflow ~= "drop_oldest" or ready_count() < excess) then
    return { TOPIC_FULL, length }
  end
  return nil, excess
end

-- Of the lowest priority first, those that would be delivered next; nothing for one that is passed over.
local function pop_lowest()
  local id = redis.call("LPOP", ready)
  if id then
    return not passed_over(id) and id
  end
  local last = redis.call("ZRANGE", urgent, -1, -1, "WITHSCORES")[2]
  local from = math.floor(last / band_width) * band_width
  id = redis.call("ZRANGEBYSCORE", urgent, string.format("%.0f", from), "+inf", "LIMIT", 0, 1)[1]
  redis.call("ZREM", urgent, id)
  return id
end

local function drop_oldest(excess)
  local dropped = 0
  while dropped < excess do
    local id = pop_lowest()
    if id then
      local record = redis.call("HGET", messages, id)
      local _, _, key = attributes_of(record or "")
      erase(id, key)
      dropped = dropped + 1
    end
  end
  if dropped > 0 then
    redis.call("HINCRBY", flow, "dropped", dropped)
  end
end
