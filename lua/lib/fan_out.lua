-- A publish to `queues`, all or none: every subscription of a topic, or the topic itself while it has none. Needs due,
-- sessions and now_ms.
--- @include lib/group_topic
--- @include lib/store
--- @include lib/admit
--- @include lib/special
--- @include lib/subscriptions_max
local parts = 13
local queues, source, present = {}, {}, {}

-- Whether the queues whose keys begin at `first` are those that get what is published to the topic: a key of a
-- subscription ends with its name, after a character that no name has.
local function find_queues(first, topic_settings, shared_key)
  local packed_source = redis.call("GET", topic_settings)
  source = packed_source and cmsgpack.unpack(packed_source) or {}
  local names = source.subscriptions or {}
  for at = first, #KEYS, parts do
    queues[#queues + 1] = { part = at, shared = #names > 0 and shared_key or nil }
  end
  if #names == 0 then
    return #queues == 1 and KEYS[first + 4] == topic_settings
  end
  for number, own in ipairs(queues) do
    if string.match(KEYS[own.part + 4] or "", "\1([^\1]+)$") ~= names[number] then
      return false
    end
  end
  return #queues == #names
end

local function subscriptions_of_topic()
  return { TOPIC_SUBSCRIBED, unpack(source.subscriptions or {}, 1, subscriptions_max) }
end

local function admit_to_all(count, id_of)
  if source.paused_in then
    return { TOPIC_PAUSED }
  end
  -- Looked at before anything is dropped: what goes for the others in a batch is not stored again by it.
  local to = queues[1].shared
  for number = 1, to and count or 0 do
    local id = id_of(number)
    present[id] = redis.call("HEXISTS", to, id) == 1 or nil
  end
  for _, own in ipairs(queues) do
    turn_to(own)
    local refusal
    refusal, own.excess = admit(count, id_of, present)
    if refusal then
      return refusal
    end
  end
end

local function make_room()
  for _, own in ipairs(queues) do
    turn_to(own)
    -- Subscriptions have settings for as long as they are there; the topic itself may have none yet.
    if not own.shared then
      mark_special()
      own.packed_settings = packed_settings
    end
    drop_oldest(own.excess)
  end
end

-- 1 if it was stored for any, 0 when one of them has it or all had it.
local function store_for_all(id, delay_ms, data, option, at)
  local to, stored = queues[1].shared, 0
  if present[id] then
    return 0
  end
  for _, own in ipairs(queues) do
    turn_to(own)
    stored = stored + store(id, delay_ms, to and "" or data, option, at)
  end
  if to and stored > 0 then
    redis.call("HSET", to, id, data, "\1" .. id, stored)
  end
  return math.min(stored, 1)
end

local function wake_in_all()
  for _, own in ipairs(queues) do
    turn_to(own)
    if packed_settings then
      wake_takers()
    end
  end
end
