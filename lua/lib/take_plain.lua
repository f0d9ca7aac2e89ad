-- Takes messages of a topic for which nothing was set, while nothing is due in it and it is known when something will
-- be. It comes before the functions that the rest needs, for making those costs more than this. Needs what
-- queue.consume has.
local due_at = tonumber(redis.call("ZSCORE", KEYS[8], KEYS[4]) or nil)
local ends_at = now_ms + ARGV[5]
if not packed_settings and ARGV[8] == "" and due_at and due_at > now_ms and due_at <= ends_at then
  local left, reply, outcome, bytes = math.min(ARGV[4], 1000), { OK }, { OK }, 0
  while left > 0 and bytes <= 4194304 do
    local ids = redis.call("LPOP", KEYS[4], math.min(left, 25))
    if not ids then
      break
    end
    local fields = {}
    for at, id in ipairs(ids) do
      fields[2 * at - 1] = id
      fields[2 * at] = "\1" .. id
    end
    local found, deliveries, ends = redis.call("HMGET", KEYS[3], unpack(fields)), {}, {}
    for at, id in ipairs(ids) do
      local record = found[2 * at - 1]
      if bytes > 4194304 then
        for back = #ids, at, -1 do
          redis.call("LPUSH", KEYS[4], ids[back])
        end
        break
      -- An id without a record is what a partial data loss leaves behind: there is nothing to deliver.
      elseif record then
        local attempt = tonumber(string.match(found[2 * at] or "0", "^%d+")) + 1
        local delivery = attempt .. "." .. now_ms
        deliveries[#deliveries + 1] = "\1" .. id
        deliveries[#deliveries + 1] = delivery .. " " .. ARGV[7]
        -- Fractions of a millisecond keep the order of a batch when it lapses together.
        ends[#ends + 1] = ends_at + #outcome / 4096
        ends[#ends + 1] = id
        describe(reply, id, delivery, record)
        outcome[#outcome + 1] = id
        outcome[#outcome + 1] = delivery
        bytes, left = bytes + #record, left - 1
      end
    end
    if #ends > 0 then
      redis.call("HSET", KEYS[3], unpack(deliveries))
      redis.call("ZADD", KEYS[6], unpack(ends))
    end
  end
  if #reply > 1 then
    keep_outcome(outcome)
  end
  return reply
end
