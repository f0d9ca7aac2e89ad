-- Whether messages can be taken the short way (see lib/take_plain): nothing was set for the topic, nobody asks who
-- waits in line, and it is known when something will be due in it. Needs now_ms and taker.
local due_at = tonumber(redis.call("ZSCORE", KEYS[8], KEYS[4]) or nil)
local ends_at = now_ms + ARGV[5]
local is_plain = not packed_settings and taker == "" and due_at and due_at > now_ms and due_at <= ends_at
