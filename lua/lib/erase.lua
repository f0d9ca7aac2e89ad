-- Takes a message out for good once it is in no state any more.
--- @include lib/pass_turn
local function erase(id, key)
  redis.call("ZREM", expiring, id)
  redis.call("HDEL", messages, id, "\1" .. id, "\2" .. id, "\3" .. id)
  pass_turn(key)
end
