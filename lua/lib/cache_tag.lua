-- Gives a tag to the version of a key that is stored now, for kept_ms, 0 = for ever. The tag lives as long as the
-- longest-lived of its keys.
local function give_tag(tag, name, numeral, kept_ms)
  local left_ms = redis.call("PTTL", tag)
  redis.call("ZADD", tag, numeral, name)
  if kept_ms == 0 then
    redis.call("PERSIST", tag)
  elseif left_ms == -2 or (left_ms >= 0 and left_ms < kept_ms) then
    redis.call("PEXPIRE", tag, kept_ms)
  end
end
