--- queue.unsubscribe: let a topic have one subscription less.
-- Promises: nothing is published to it from now on; what is in it goes with queue.purge. After the last one the topic's
--   own queue gets what is published.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 topic_settings: what was set for the topic, its subscriptions among it, packed
--   4 inflight: ids of the subscription by end of visibility, a sorted set
--   5 settings: what was set for the subscription, packed
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 subscription: its name
--   5 is_forced: 1 for one that goes even while messages of it are in flight, empty = it stays then
-- Replies:
--   OK: it is leaving
--   TOPIC_IN_USE why: refused, messages are inflight
--   SUBSCRIPTION_UNKNOWN: there is none of this name
-- Complexity: O(s + log f) with s subscriptions, at most 16, and f in flight
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
local subscription, is_forced = ARGV[4], ARGV[5]
--- @include lib/subscriptions_max
local packed = redis.call("GET", KEYS[5])
if not packed then
  return { SUBSCRIPTION_UNKNOWN }
end
if is_forced ~= "1" and redis.call("ZCOUNT", KEYS[4], "(" .. now_ms, "+inf") > 0 then
  return { TOPIC_IN_USE, "inflight" }
end
local own = cmsgpack.unpack(packed)
own.is_leaving = true
redis.call("SET", KEYS[5], cmsgpack.pack(own))
local packed_topic = redis.call("GET", KEYS[3])
local topic = packed_topic and cmsgpack.unpack(packed_topic) or {}
local names = topic.subscriptions or {}
for number = math.min(#names, subscriptions_max), 1, -1 do
  if names[number] == subscription then
    table.remove(names, number)
  end
end
topic.subscriptions = #names > 0 and names or nil
redis.call("SET", KEYS[3], cmsgpack.pack(topic))
return keep_outcome({ OK })
