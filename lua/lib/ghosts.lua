-- Whether an id that was taken out of the list of ready is that of a message which has been removed since.
local function passed_over(id)
  if not redis.call("HGET", ghosts, id) then
    return false
  end
  if redis.call("HINCRBY", ghosts, id, -1) == 0 then
    redis.call("HDEL", ghosts, id)
  end
  if redis.call("HINCRBY", ghosts, "", -1) == 0 then
    redis.call("DEL", ghosts)
  end
  return true
end
