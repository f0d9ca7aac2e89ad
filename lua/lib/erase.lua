-- Takes a message out for good once it is in no state any more.
--- @include lib/pass_turn
--- @include lib/payload
local function erase(id, key)
  redis.call("ZREM", expiring, id)
  if shared and redis.call("HEXISTS", messages, id) == 1 then
    let_go(id)
  end
  redis.call("HDEL", messages, id, "\1" .. id, "\2" .. id, "\3" .. id)
  pass_turn(key)
end
