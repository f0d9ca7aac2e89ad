-- Takes messages that are ready and makes deliveries of them. Needs what queue.consume has, and adds to `reply` and
-- `outcome`.
--- @include lib/special
local take_max, chunk_max, bytes_max, skip_max = 1000, 25, 4194304, 1000

-- How many may be taken: what is kept for consumers that were woken is kept from the others.
local function share()
  local wanted = math.min(tonumber(ARGV[4]), take_max)
  if not packed_settings then
    return wanted
  end
  local free = deliverable()
  if redis.call("EXISTS", takers) == 1 then
    local score = taker ~= "" and redis.call("ZSCORE", takers, taker)
    local was_woken = score and tonumber(score) < -now_ms
    free = math.max(free - kept_for_woken() + (was_woken and 1 or 0), 0)
  end
  return math.min(wanted, free)
end

-- The next ids, with their scores where they have some.
local function next_ids(count)
  local ids, scores = {}, {}
  if packed_settings then
    local popped = redis.call("ZPOPMIN", urgent, count)
    for at = 1, #popped, 2 do
      ids[#ids + 1] = popped[at]
      scores[#ids] = popped[at + 1]
    end
  end
  local passed = 0
  if #ids < count then
    local has_ghosts = packed_settings and redis.call("EXISTS", ghosts) == 1
    for _, id in ipairs(redis.call("LPOP", ready, count - #ids) or {}) do
      if has_ghosts and passed_over(id) then
        passed = passed + 1
      else
        ids[#ids + 1] = id
      end
    end
  end
  return ids, scores, passed
end

local function put_back(ids, scores, from)
  for at = #ids, from, -1 do
    if scores[at] then
      redis.call("ZADD", urgent, scores[at], ids[at])
    else
      redis.call("LPUSH", ready, ids[at])
    end
  end
end

local function fields_of(ids)
  local fields = {}
  for _, id in ipairs(ids) do
    fields[#fields + 1] = id
    fields[#fields + 1] = "\1" .. id
  end
  return fields
end

-- What is kept of a delivery beside its attempt and time (see lib/delivered).
local function details_of(priority, expires_at, key)
  if priority == 0 and expires_at == 0 and key == "" then
    return " " .. ARGV[7]
  end
  return "\t" .. string.format("%d %.0f %d ", priority, expires_at, #key) .. key .. ARGV[7]
end

-- Nothing for a message of a subscription whose payload was lost (see lib/payload).
local function with_payload(id, record)
  local payload = redis.call("HGET", shared, id)
  return payload and record .. payload
end

local function take()
  local left, passed, bytes = share(), 0, 0
  local is_default = ARGV[6]
  local taken = 0
  if is_default == "1" and topic.visibility_ms then
    ends_at = now_ms + topic.visibility_ms
  end
  while left > 0 and bytes <= bytes_max and passed < skip_max do
    local ids, scores, ghosts_passed = next_ids(math.min(left, chunk_max))
    passed = passed + ghosts_passed
    if #ids == 0 and ghosts_passed == 0 then
      break
    end
    local found = #ids > 0 and redis.call("HMGET", messages, unpack(fields_of(ids))) or {}
    local deliveries, ends = {}, {}
    for at, id in ipairs(ids) do
      local record, before = found[2 * at - 1], found[2 * at]
      local priority, expires_at, key = 0, 0, ""
      if record and packed_settings then
        priority, expires_at, key = attributes_of(record)
      end
      if record and shared then
        record = with_payload(id, record)
        if not record then
          erase(id, key)
        end
      end
      if bytes > bytes_max then
        put_back(ids, scores, at)
        break
      elseif not record then
        -- An id without a record is what a partial data loss leaves behind: there is nothing to deliver.
        passed = passed + 1
      elseif expires_at > 0 and expires_at <= now_ms then
        erase(id, key)
        redis.call("HINCRBY", flow, "expired", 1)
      else
        local attempt = tonumber(string.match(before or "0", "^%d+")) + 1
        local delivery = attempt .. "." .. now_ms
        deliveries[#deliveries + 1] = "\1" .. id
        deliveries[#deliveries + 1] = delivery .. details_of(priority, expires_at, key)
        -- Fractions of a millisecond keep the order of a batch when it lapses together.
        ends[#ends + 1] = ends_at + taken / 2048
        ends[#ends + 1] = id
        describe(reply, id, delivery, record)
        outcome[#outcome + 1] = id
        outcome[#outcome + 1] = delivery
        bytes, taken, left = bytes + #record, taken + 1, left - 1
      end
    end
    if #ends > 0 then
      redis.call("HSET", messages, unpack(deliveries))
      redis.call("ZADD", inflight, unpack(ends))
    end
  end
  if taken > 0 then
    expect(ends_at, due_at)
    if topic.rate_per_s then
      local used, each_ms = rate_used()
      redis.call("HSET", flow, "rate_used", string.format("%.3f", used + taken * each_ms))
    end
  elseif passed > 0 then
    expect(now_ms, due_at)
  end
end
