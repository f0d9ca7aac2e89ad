-- Stores messages. Needs now_ms.
--- @include lib/expect
--- @include lib/ready
--- @include lib/take_turn
--- @include lib/takers

-- Fractions of a millisecond keep the order of a batch that becomes due together.
local function delay(id, delay_ms, at)
  redis.call("ZADD", delayed, now_ms + delay_ms + at / 4096, id)
  expect_by(now_ms + delay_ms)
end

local function record_with(option, data)
  local priority, ttl_ms, key, headers = unpack(option)
  local retention_ms = topic.retention_ms or 0
  if ttl_ms == 0 or retention_ms > 0 and retention_ms < ttl_ms then
    ttl_ms = retention_ms
  end
  local expires_at = ttl_ms > 0 and now_ms + ttl_ms or 0
  if priority == 0 and expires_at == 0 and key == "" and headers == "" then
    return now_ms .. " " .. data, 0
  end
  local sizes = string.format("%d %.0f %d %d ", priority, expires_at, #key, #headers)
  return now_ms .. "\t" .. sizes .. key .. headers .. data, expires_at
end

local no_options = { 0, 0, "", "" }

-- Stores one message; `at` is its place among those that are stored together. 1 if it was stored, 0 when its id is in
-- the topic, or was published within its dedup_ms.
local function store(id, delay_ms, data, option, at)
  local until_ms = topic.dedup_ms and redis.call("ZSCORE", seen, id)
  if until_ms and tonumber(until_ms) > now_ms then
    return 0
  end
  option = option or no_options
  local record, expires_at = record_with(option, data)
  if redis.call("HSETNX", messages, id, record) == 0 then
    return 0
  end
  if topic.dedup_ms then
    redis.call("ZADD", seen, now_ms + topic.dedup_ms, id)
    expect_by(now_ms + topic.dedup_ms)
  end
  if expires_at > 0 then
    redis.call("ZADD", expiring, expires_at + at / 4096, id)
    expect_by(expires_at)
  end
  if delay_ms ~= "0" then
    delay(id, delay_ms, at)
  elseif take_turn(id, option[3]) then
    make_ready(id, option[1])
  end
  return 1
end
