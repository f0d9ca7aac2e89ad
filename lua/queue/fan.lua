--- queue.fan: add messages to every subscription of a topic.
-- Promises: all messages are stored for all subscriptions, in the order given, or none is for any; an id that a
--   subscription still has is not stored twice. Payloads are stored once. Consumers that wait are woken in each.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 topic_settings: what was set for the topic, its subscriptions among it, packed
--   4 shared: payloads and how many subscriptions have them by id, a hash (see lib/payload)
--   5 due: of the partition: when a topic has something to be tended at the earliest, a sorted set
--   6 sessions: sessions of nodes with parked requests by their end, a sorted set
--   7+ part: of each subscription 13 keys, as in lib/group_topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 options: for each message nil or priority, ttl_ms, key and headers, packed; empty = no message has any
--   5+ id: name of a message
--   6+ delay_ms: how long it stays invisible first, ms
--   7+ data: its payload, opaque bytes
-- Replies:
--   OK [stored]: for each message 1, or 0 when it was stored for no subscription
--   TOPIC_SUBSCRIBED [subscription]: refused, these are the subscriptions
--   TOPIC_FULL length: refused, a subscription has so many messages
--   TOPIC_PAUSED: refused, nothing may be published to the topic or to one of its subscriptions
-- Complexity: O(n s log m) with n messages, at most 1000, s subscriptions, at most 16, and m messages of one
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
local due, sessions = KEYS[5], KEYS[6]
--- @include lib/group_topic
--- @include lib/store
--- @include lib/admit
local packed_source = redis.call("GET", KEYS[3])
local source = packed_source and cmsgpack.unpack(packed_source) or {}
local names, subscriptions = source.subscriptions or {}, {}
local parts, subscriptions_max = 13, 16
for at = 7, #KEYS, parts do
  subscriptions[#subscriptions + 1] = { part = at, shared = KEYS[4] }
end

-- A key of a subscription ends with its name, after a character that no name has.
local function are_all()
  for number, own in ipairs(subscriptions) do
    if string.match(KEYS[own.part + 4] or "", "\1([^\1]+)$") ~= names[number] then
      return false
    end
  end
  return #subscriptions == #names and #names > 0
end

if not are_all() then
  return { TOPIC_SUBSCRIBED, unpack(names, 1, math.min(#names, subscriptions_max)) }
end
if source.paused_in then
  return { TOPIC_PAUSED }
end
for _, own in ipairs(subscriptions) do
  turn_to(own)
  local refusal
  refusal, own.excess = admit((#ARGV - 4) / 3)
  if refusal then
    return refusal
  end
end
for _, own in ipairs(subscriptions) do
  turn_to(own)
  drop_oldest(own.excess)
end

local function store_for_all(at, option)
  local id, stored = ARGV[at], 0
  if redis.call("HEXISTS", KEYS[4], id) == 1 then
    return 0
  end
  for _, own in ipairs(subscriptions) do
    turn_to(own)
    stored = stored + store(id, ARGV[at + 1], "", option, at)
  end
  if stored > 0 then
    redis.call("HSET", KEYS[4], id, ARGV[at + 2], "\1" .. id, stored)
  end
  return math.min(stored, 1)
end

local reply, options = { OK }, ARGV[4] ~= "" and cmsgpack.unpack(ARGV[4]) or {}
for at = 5, #ARGV, 3 do
  reply[#reply + 1] = store_for_all(at, options[#reply])
end
for _, own in ipairs(subscriptions) do
  turn_to(own)
  if packed_settings then
    wake_takers()
  end
end
return keep_outcome(reply)
