-- Whether a topic takes so many more messages: a refusal, or how many of the oldest must go for them.
--- @include lib/erase
--- @include lib/ghosts
--- @include lib/length
local function admit(count)
  if topic.paused_in then
    return { TOPIC_PAUSED }
  end
  if not topic.max_length then
    return nil, 0
  end
  local length = length_of_topic()
  local excess = math.max(length + count - topic.max_length, 0)
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
