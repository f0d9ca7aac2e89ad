-- Messages with an ordering key are under way one at a time (or key_concurrency of them), in the order in which they
-- came; the rest waits in line. Under way is one that is ready, in flight, or waits after it was given back.
-- Says whether a message may become ready now.
local function take_turn(id, key)
  if key == "" then
    return true
  end
  if tonumber(redis.call("HGET", busy, key) or 0) < (topic.key_concurrency or 1) then
    redis.call("HINCRBY", busy, key, 1)
    return true
  end
  local place = key .. "\0" .. string.format("%016.0f", redis.call("HINCRBY", flow, "places", 1)) .. id
  redis.call("ZADD", line, 0, place)
  redis.call("HSET", messages, "\3" .. id, place)
  return false
end
