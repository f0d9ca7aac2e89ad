-- Ends the hold that own_hold found.
local function end_hold(lock, readers, reader_holds, owner, is_exclusive, now_ms)
  if is_exclusive then
    redis.call("DEL", lock)
    return
  end
  redis.call("ZREM", readers, owner)
  redis.call("HDEL", reader_holds, owner)
  if redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") == 0 then
    redis.call("UNLINK", lock, readers, reader_holds)
  end
end
