--- queue.publish: add messages to a topic.
-- Promises: all messages are stored and ready (or delayed) together, in the order given; an id that is still in the
--   topic is not stored twice.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 messages: records and delivery counts by id, a hash
--   4 ready: ids to deliver, a list
--   5 delayed: ids by due time, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4+ id: name of a message
--   5+ delay_ms: how long it stays invisible first, ms
--   6+ data: its payload, opaque bytes
-- Replies:
--   OK [stored]: for each message 1, or 0 when its id is in the topic already
-- Complexity: O(n) with n messages, at most 1000; O(log d) each with d delayed ones
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
local messages, ready, delayed = KEYS[3], KEYS[4], KEYS[5]
local published = now_ms .. " "
local reply = { OK }
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  local stored = redis.call("HSETNX", messages, id, published .. ARGV[at + 2])
  reply[#reply + 1] = stored
  if stored == 1 then
    if ARGV[at + 1] == "0" then
      redis.call("RPUSH", ready, id)
    else
      -- Fractions of a millisecond keep the order of a batch that becomes due together.
      redis.call("ZADD", delayed, now_ms + ARGV[at + 1] + at / 4096, id)
    end
  end
end
return keep_outcome(reply)
