--- queue.subscribe: give a topic one more subscription.
-- Promises: it has what is published from now on, and begins with what is set for the topic. One that is there stays
--   as it is.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 topic_settings: what was set for the topic, its subscriptions among it, packed
--   4 settings: what was set for the subscription, packed
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 subscription: its name
-- Replies:
--   OK created: 1, or 0 when it was there
--   TOPIC_IN_USE why: refused, one of this name is leaving still
--   SUBSCRIPTIONS_FULL limit: refused, a topic has no more
-- Complexity: O(s) with s subscriptions, at most 16
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
if first_outcome then
  return first_outcome
end
local subscription = ARGV[4]
--- @include lib/subscriptions_max
local packed = redis.call("GET", KEYS[3])
local topic = packed and cmsgpack.unpack(packed) or {}
local names = topic.subscriptions or {}
for number = 1, math.min(#names, subscriptions_max) do
  if names[number] == subscription then
    return keep_outcome({ OK, 0 })
  end
end
if #names >= subscriptions_max then
  return { SUBSCRIPTIONS_FULL, subscriptions_max }
end
if redis.call("EXISTS", KEYS[4]) == 1 then
  return { TOPIC_IN_USE, "leaving" }
end
names[#names + 1] = subscription
topic.subscriptions = names
redis.call("SET", KEYS[3], cmsgpack.pack(topic))
topic.subscriptions, topic.paused_in, topic.paused_out = nil, nil, nil
topic.subscription = true
redis.call("SET", KEYS[4], cmsgpack.pack(topic))
return keep_outcome({ OK, 1 })
