-- Makes a dead letter of a message that is in no other state any more. Needs now_ms.
--- @include lib/expect
--- @include lib/pass_turn
local dead_keep_ms = 1209600000

local function bury(id, reason, key)
  redis.call("ZREM", expiring, id)
  redis.call("ZADD", dead, now_ms, id)
  redis.call("HSET", messages, "\2" .. id, reason)
  pass_turn(key)
  expect_by(topic.dead_letter_topic and now_ms or now_ms + (topic.dead_retention_ms or dead_keep_ms))
end
