--- queue.configure: set what holds for a topic.
-- Promises: what is named is set or taken back, the rest stays. What would change the order of messages under way, or
--   throw away messages that were accepted, is refused. Consumers that wait are woken if they may have messages now.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3-19 lib/topic
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 changes: values by name, packed; an empty one takes a setting back
-- Replies:
--   OK settings: all that is set now, packed
--   TOPIC_IN_USE setting: refused, messages are there that it would harm
-- Complexity: O(log f) with f in flight; wakes at most 1000
-- Retry: safe with the same request id
--- @include lib/topic_fence
--- @include lib/all_keys
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/length
--- @include lib/special
--- @include lib/takers
local changes = cmsgpack.unpack(ARGV[4])
if changes.key_concurrency and (tonumber(changes.key_concurrency) or 1) ~= (topic.key_concurrency or 1) then
  if redis.call("EXISTS", busy) == 1 then
    return { TOPIC_IN_USE, "key_concurrency" }
  end
end
local max_length = tonumber(changes.max_length or "")
if max_length and max_length < length_of_topic() then
  return { TOPIC_IN_USE, "max_length" }
end
for name, value in pairs(changes) do
  topic[name] = value ~= "" and value or nil
end
mark_special()
packed_settings = cmsgpack.pack(topic)
redis.call("SET", settings, packed_settings)
-- The owner finds out what is due under the new settings.
expect_by(now_ms)
wake_takers()
return keep_outcome({ OK, packed_settings })
