-- First act of a script on a topic: the fence, read together with the topic's settings. A topic that is more than a
-- list of messages has some, if only empty ones, and takes all its keys.
-- Replies: TOPIC_KEYS_WANTED
local installed, packed_settings = unpack(redis.call("MGET", KEYS[1], KEYS[7]))
--- @include lib/fence_compare
if packed_settings and not KEYS[18] then
  return { TOPIC_KEYS_WANTED, 1 }
end
