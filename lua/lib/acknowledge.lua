-- Takes out for good what is named in ARGV[first_named] and on, three values each, if that is a current delivery. Adds
-- a code for each to `reply`; `acked` are those that went, `settled` what was known of their deliveries. Needs what
-- queue.ack has.
--- @include lib/verdict
local acked, settled = {}, {}
if #ARGV == first_named + 2 then
  local id, mark = ARGV[first_named], "\1" .. ARGV[first_named]
  local delivered = redis.call("HGET", KEYS[3], mark)
  local visible_at = redis.call("ZSCORE", KEYS[6], id)
  local code = verdict(KEYS[3], id, delivered, visible_at, ARGV[first_named + 1], ARGV[first_named + 2])
  if code == OK then
    redis.call("ZREM", KEYS[6], id)
    redis.call("HDEL", KEYS[3], id, mark)
    acked[1], settled[1] = id, delivered
  end
  reply[#reply + 1] = code
else
  -- A command costs more than what it does for one message, and may have a thousand arguments.
  local gone, fields = {}, {}
  for from = first_named, #ARGV, 1500 do
    local named, marks = {}, {}
    for at = from, math.min(from + 1499, #ARGV), 3 do
      named[#named + 1] = ARGV[at]
      marks[#marks + 1] = "\1" .. ARGV[at]
    end
    local known = redis.call("HMGET", KEYS[3], unpack(marks))
    local ends = redis.call("ZMSCORE", KEYS[6], unpack(named))
    for place, id in ipairs(named) do
      local code, at = ALREADY_ACKED, from + 3 * place - 2
      if not gone[id] then
        code = verdict(KEYS[3], id, known[place], ends[place], ARGV[at], ARGV[at + 1])
      end
      if code == OK then
        gone[id] = true
        acked[#acked + 1] = id
        fields[#fields + 1] = id
        fields[#fields + 1] = marks[place]
        settled[#settled + 1] = known[place]
      end
      reply[#reply + 1] = code
    end
  end
  for from = 1, #acked, 500 do
    local to = math.min(from + 499, #acked)
    redis.call("ZREM", KEYS[6], unpack(acked, from, to))
    redis.call("HDEL", KEYS[3], unpack(fields, 2 * from - 1, 2 * to))
  end
end
