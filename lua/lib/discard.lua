-- Takes a message out for good, whatever state it is in. A list is not searched: the id of one that is ready stays
-- there and is passed over.
--- @include lib/erase
--- @include lib/special
local function discard(id)
  local record, place = unpack(redis.call("HMGET", messages, id, "\3" .. id))
  local priority, _, key = attributes_of(record or "")
  if place then
    redis.call("ZREM", line, place)
    key = ""
  elseif redis.call("ZREM", dead, id) == 1 then
    key = ""
  elseif redis.call("ZREM", delayed, id) == 1 then
    key = redis.call("HEXISTS", messages, "\1" .. id) == 1 and key or ""
  elseif redis.call("ZREM", inflight, id) == 0 and redis.call("ZREM", urgent, id) == 0 and priority == 0 then
    redis.call("HINCRBY", ghosts, id, 1)
    redis.call("HINCRBY", ghosts, "", 1)
    mark_special()
  end
  erase(id, key)
end
