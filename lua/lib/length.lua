-- How many messages a topic has, but for dead letters.
--- @include lib/limits
local function length_of_topic()
  local under_way = redis.call("ZCARD", delayed) + redis.call("ZCARD", inflight) + redis.call("ZCARD", line)
  return ready_count() + under_way
end
