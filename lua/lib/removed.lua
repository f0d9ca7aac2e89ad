-- Whether an id in the list of ready is that of a message which was removed: those come before that of a message which
-- was published under the same name since. Asked of one id after the other, from the head of the list on.
local times_seen = {}
local function is_removed(id)
  times_seen[id] = (times_seen[id] or 0) + 1
  return times_seen[id] <= tonumber(redis.call("HGET", ghosts, id) or 0)
end
