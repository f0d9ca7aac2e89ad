-- Messages of priority 0 are in a list, which is what most topics are. The others are in a sorted set, in one band of
-- scores for each priority, 9 first.
local band_width = 281474976710656

local function make_ready(id, priority, is_first)
  if priority == 0 then
    redis.call(is_first and "LPUSH" or "RPUSH", ready, id)
    return
  end
  local from = (9 - priority) * band_width
  local most = "(" .. string.format("%.0f", from + band_width)
  local order = is_first and { "ZRANGEBYSCORE", from, most } or { "ZREVRANGEBYSCORE", most, from }
  local edge = redis.call(order[1], urgent, order[2], order[3], "WITHSCORES", "LIMIT", 0, 1)[2]
  local score = (tonumber(edge) or from + band_width / 2) + (is_first and -1 or 1)
  redis.call("ZADD", urgent, string.format("%.0f", score), id)
end
