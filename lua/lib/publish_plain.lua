-- Messages without attributes or delay, for a topic for which nothing was set: most of what is ever published. It
-- comes before the functions that the rest needs, for making those costs more than this. Needs now_ms and keep_outcome.
local is_plain = not packed_settings and ARGV[4] == ""
for at = 6, #ARGV, 3 do
  is_plain = is_plain and ARGV[at] == "0"
end
if is_plain then
  local published, reply, ids = now_ms .. " ", { OK }, {}
  for at = 5, #ARGV, 3 do
    local stored = redis.call("HSETNX", KEYS[3], ARGV[at], published .. ARGV[at + 2])
    reply[#reply + 1] = stored
    if stored == 1 then
      ids[#ids + 1] = ARGV[at]
    end
  end
  -- In one command, as many as a command may have.
  for from = 1, #ids, 1000 do
    local to = math.min(from + 999, #ids)
    redis.call("RPUSH", KEYS[4], unpack(ids, from, to))
  end
  return keep_outcome(reply)
end
