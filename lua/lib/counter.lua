-- KEYS[3] counts upwards for ever within a partition. Its floor is generation * 2^36, so a number handed out after a
-- data loss is above every one handed out before. A counter below its floor was lost on its own (evicted, deleted):
-- counting on from it would repeat numbers.
-- Replies: FENCE_MISSING
local function counter_is_lost()
  local last = tonumber(redis.call("GET", KEYS[3]))
  return not last or last < tonumber(string.match(ARGV[1], "^%d+")) * 68719476736
end
