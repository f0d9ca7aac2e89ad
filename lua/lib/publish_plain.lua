-- Messages without attributes or delay, for a topic for which nothing was set: most of what is ever published. It
-- comes before the functions that the rest needs, for making those costs more than this. Needs now_ms and keep_outcome.
local is_plain = not packed_settings and ARGV[4] == ""
for at = 6, #ARGV, 3 do
  is_plain = is_plain and ARGV[at] == "0"
end
if is_plain and #ARGV == 7 then
  local stored = redis.call("HSETNX", KEYS[3], ARGV[5], now_ms .. " " .. ARGV[7])
  if stored == 1 then
    redis.call("RPUSH", KEYS[4], ARGV[5])
  end
  return keep_outcome({ OK, stored })
end
if is_plain then
  local published, reply, ids, records, is_stored = now_ms .. " ", { OK }, {}, {}, {}
  -- So many at a time, for an id that is in the topic is read with its payload.
  for from = 5, #ARGV, 150 do
    local asked = {}
    for at = from, math.min(from + 149, #ARGV), 3 do
      asked[#asked + 1] = ARGV[at]
    end
    local found = redis.call("HMGET", KEYS[3], unpack(asked))
    for place, id in ipairs(asked) do
      local is_new = not found[place] and not is_stored[id]
      reply[#reply + 1] = is_new and 1 or 0
      if is_new then
        is_stored[id] = true
        ids[#ids + 1] = id
        records[#records + 1] = id
        records[#records + 1] = published .. ARGV[from + 3 * place - 1]
      end
    end
  end
  -- A command costs more than what it does for one message, and may have a thousand arguments.
  for from = 1, #ids, 500 do
    local to = math.min(from + 499, #ids)
    redis.call("HSET", KEYS[3], unpack(records, 2 * from - 1, 2 * to))
    redis.call("RPUSH", KEYS[4], unpack(ids, from, to))
  end
  return keep_outcome(reply)
end
