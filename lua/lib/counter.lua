-- KEYS[3] counts upwards for ever within a partition. Its floor is generation * 2^36, so a number handed out after a
-- data loss is above every one handed out before. A counter below its floor was lost on its own (evicted, deleted):
-- counting on from it would repeat numbers.
-- Replies: FENCE_MISSING
local counter = tonumber(redis.call("GET", KEYS[3]))
local counter_is_lost = not counter or counter < string.match(ARGV[1], "^%d+") * 68719476736
