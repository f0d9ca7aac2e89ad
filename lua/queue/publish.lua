--- queue.publish: add messages to a topic.
-- Promises: all messages are stored together, in the order given, or none is; an id that is still in the topic, or was
--   published within its dedup_ms, is not stored twice. Consumers that wait are woken, one for each message.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 options: for each message nil or priority, ttl_ms, key and headers, packed; empty = no message has any
--   5+ id: name of a message
--   6+ delay_ms: how long it stays invisible first, ms
--   7+ data: its payload, opaque bytes
-- Replies:
--   OK [stored]: for each message 1, or 0 when its id is in the topic already
--   TOPIC_FULL length: refused, the topic has so many messages
--   TOPIC_SUBSCRIBED [subscription]: refused, they get what is published: call queue.fan
--   TOPIC_PAUSED: refused, nothing may be published for now
-- Complexity: O(n) with n messages, at most 1000; O(log m) each with m messages that are delayed or have attributes
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/publish_plain
--- @include lib/all_keys
--- @include lib/subscriptions_max
if topic.subscriptions then
  return { TOPIC_SUBSCRIBED, unpack(topic.subscriptions, 1, subscriptions_max) }
end
--- @include lib/special
--- @include lib/store
--- @include lib/admit
local present = {}
local refusal, excess = admit((#ARGV - 4) / 3, function(number)
  return ARGV[3 * number + 2]
end, present)
if refusal then
  return refusal
end
if ARGV[4] ~= "" then
  mark_special()
end
drop_oldest(excess)
local reply, options = { OK }, ARGV[4] ~= "" and cmsgpack.unpack(ARGV[4]) or {}
for at = 5, #ARGV, 3 do
  local id, option = ARGV[at], options[#reply]
  reply[#reply + 1] = present[id] and 0 or store(id, ARGV[at + 1], ARGV[at + 2], option, at)
end
if packed_settings then
  wake_takers()
end
return keep_outcome(reply)
