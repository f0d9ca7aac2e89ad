-- Ends a quarantine that is over: the counter comes back, and with it new grants (see lib/quarantine).
local function lift_quarantine(tokens, quarantine, set_aside)
  redis.call("SET", tokens, set_aside)
  redis.call("DEL", quarantine)
end
