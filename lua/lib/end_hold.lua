-- Ends the hold that own_hold found.
local function end_hold(lock, readers, reader_holds, owner, own)
  if own.mode == "exclusive" then
    redis.call("DEL", lock)
    if own.more then
      redis.call("UNLINK", reader_holds)
    end
    return
  end
  redis.call("ZREM", readers, owner)
  redis.call("HDEL", reader_holds, owner)
  if redis.call("ZCOUNT", readers, "(" .. own.now_ms, "+inf") == 0 then
    redis.call("UNLINK", lock, readers, reader_holds)
  elseif own.mode == "semaphore" then
    redis.call("SET", lock, "p" .. own.taken - own.more.permits .. " " .. own.limit .. " 0 ", "KEEPTTL")
  end
end
