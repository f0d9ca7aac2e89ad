-- First act of a script on a topic: the fence, read together with the topic's settings. A topic that is more than a
-- list of messages has some, if only empty ones, and takes all its keys. A subscription has some for as long as it is
-- there.
-- Replies: TOPIC_KEYS_WANTED, SUBSCRIPTION_UNKNOWN
local installed, packed_settings = unpack(redis.call("MGET", KEYS[1], KEYS[7]))
--- @include lib/fence_compare
if packed_settings then
  if not KEYS[18] then
    return { TOPIC_KEYS_WANTED, 1 }
  end
elseif KEYS[19] then
  return { SUBSCRIPTION_UNKNOWN }
end
