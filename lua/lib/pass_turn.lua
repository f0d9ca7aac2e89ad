-- A message is under way no longer: the next of its ordering key is (see lib/take_turn).
--- @include lib/attributes
--- @include lib/ready
local function pass_turn(key)
  if key == "" then
    return
  end
  local place = redis.call("ZRANGEBYLEX", line, "[" .. key .. "\0", "(" .. key .. "\1", "LIMIT", 0, 1)[1]
  if not place then
    if redis.call("HINCRBY", busy, key, -1) <= 0 then
      redis.call("HDEL", busy, key)
    end
    return
  end
  local id = string.sub(place, #key + 18)
  redis.call("ZREM", line, place)
  redis.call("HDEL", messages, "\3" .. id)
  make_ready(id, (attributes_of(redis.call("HGET", messages, id) or "")))
end
