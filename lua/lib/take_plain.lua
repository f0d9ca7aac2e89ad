-- Takes messages of a topic for which nothing was set, while nothing is due in it and it is known when something will
-- be. It comes before the functions that the rest needs, for making those costs more than this. Needs what
-- queue.consume has.
if is_plain then
  local left, bytes = math.min(ARGV[4], 1000), 0
  local taken, deliveries, ends = 0, {}, {}
  local fingerprint = ARGV[2]
  local since, note = "." .. now_ms, " " .. ARGV[7]
  local first_noted, first_receipt = "1" .. since .. note, generation .. ".1" .. since .. "."
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
    local found = redis.call("HMGET", KEYS[3], unpack(fields))
    for at, id in ipairs(ids) do
      local record = found[2 * at - 1]
      if bytes > 4194304 then
        for back = #ids, at, -1 do
          redis.call("LPUSH", KEYS[4], ids[back])
        end
        break
      -- An id without a record is what a partial data loss leaves behind: there is nothing to deliver.
      elseif record then
        taken = taken + 1
        local attempt, noted, receipt = 1, first_noted, first_receipt
        if found[2 * at] then
          attempt = string.match(found[2 * at], "^%d+") + 1
          noted, receipt = attempt .. since .. note, generation .. "." .. attempt .. since .. "."
        end
        deliveries[#deliveries + 1] = fields[2 * at]
        deliveries[#deliveries + 1] = noted
        -- Fractions of a millisecond keep the order of a batch when it lapses together.
        ends[#ends + 1] = ends_at + taken / 2048
        ends[#ends + 1] = id
        local to = #reply
        reply[to + 1], reply[to + 2], reply[to + 3], reply[to + 4] = id, receipt .. id, attempt, record
        if fingerprint ~= "" then
          outcome[#outcome + 1] = id
          outcome[#outcome + 1] = attempt .. since
        end
        bytes, left = bytes + #record, left - 1
      end
    end
  end
  for from = 1, #ends, 1000 do
    local to = math.min(from + 999, #ends)
    redis.call("HSET", KEYS[3], unpack(deliveries, from, to))
    redis.call("ZADD", KEYS[6], unpack(ends, from, to))
  end
  if #outcome > unchanged then
    keep_outcome(outcome)
  end
  return reply
end
