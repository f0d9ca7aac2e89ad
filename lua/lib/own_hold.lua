-- What an owner holds now: nothing, or a table with mode, token, ttl_ms (of its lease), more (see lib/record); unless
-- it is exclusive also ends_at and now_ms, and of a semaphore taken and limit. lib/write_hold takes such a table.
--- @include lib/hold
--- @include lib/now
--- @include lib/reader
--- @include lib/record
local function own_hold(lock, readers, reader_holds, owner)
  local hold = redis.call("GET", lock)
  if not hold then
    return
  end
  local mode, first, second, holder, has_more = parse_hold(hold)
  if mode == "exclusive" then
    if holder ~= owner then
      return
    end
    local own = { mode = mode, token = first, ttl_ms = second }
    local record = has_more and redis.call("HGET", reader_holds, owner)
    if record then
      local _, _, more = parse_record(record)
      own.more = more
    end
    return own
  end
  local now_ms = redis_now_ms()
  local ends_at = ends_of_reader(readers, owner)
  local record = ends_at > now_ms and redis.call("HGET", reader_holds, owner)
  if record then
    local token, ttl_ms, more = parse_record(record)
    local own = { mode = mode, token = token, ttl_ms = ttl_ms, more = more, ends_at = ends_at, now_ms = now_ms }
    if mode == "semaphore" then
      own.taken, own.limit = tonumber(first), tonumber(second)
    end
    return own
  end
end
