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
--- @include lib/fan_out
if not find_queues(7, KEYS[3], KEYS[4]) then
  return subscriptions_of_topic()
end
local refusal = admit_to_all((#ARGV - 4) / 3, function(number)
  return ARGV[3 * number + 2]
end)
if refusal then
  return refusal
end
make_room()
local reply, options = { OK }, ARGV[4] ~= "" and cmsgpack.unpack(ARGV[4]) or {}
for at = 5, #ARGV, 3 do
  reply[#reply + 1] = store_for_all(ARGV[at], ARGV[at + 1], ARGV[at + 2], options[#reply], at)
end
wake_in_all()
return keep_outcome(reply)
