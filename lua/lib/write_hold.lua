-- Gives a lock to an owner, or writes anew what the owner holds: `hold` has mode, token, ttl_ms, lease_ms (how long
-- from now), now_ms, more (see lib/record), and the limit of a semaphore. Whoever calls this has made sure that there
-- is room: what stands here in another mode, or with another limit, has ended and goes.
--- @include lib/ended
--- @include lib/hold
--- @include lib/last_reader
--- @include lib/print_record
local function write_exclusive(lock, readers, reader_holds, owner, hold)
  redis.call("UNLINK", readers, reader_holds)
  local head = "x" .. hold.token .. " " .. hold.ttl_ms
  redis.call("SET", lock, head .. (hold.more and " 1 " or " 0 ") .. owner, "PX", hold.lease_ms)
  if hold.more then
    redis.call("HSET", reader_holds, owner, print_record(hold.token, hold.ttl_ms, hold.more))
    -- Not before the hold, whatever the fraction of the millisecond.
    redis.call("PEXPIRE", reader_holds, hold.lease_ms + 1)
  end
end

local function write_hold(lock, readers, reader_holds, owner, hold)
  if hold.mode == "exclusive" then
    return write_exclusive(lock, readers, reader_holds, owner, hold)
  end
  local before, mode, taken, limit = redis.call("GET", lock), nil, nil, nil
  if before then
    mode, taken, limit = parse_hold(before)
  end
  local is_semaphore, is_over = hold.mode == "semaphore", mode ~= hold.mode
  if is_semaphore and not is_over then
    is_over = tonumber(limit) ~= hold.limit or redis.call("ZCOUNT", readers, "(" .. hold.now_ms, "+inf") == 0
  end
  if is_over then
    redis.call("UNLINK", readers, reader_holds)
    mode, taken = nil, 0
  end
  if is_semaphore then
    local own = redis.call("HGET", reader_holds, owner) or ""
    taken = taken - (string.match(own, "^%d+ %d+ %d+ (%d+) ") or 0) + hold.more.permits
    redis.call("SET", lock, "p" .. taken .. " " .. hold.limit .. " 0 ")
  else
    clear_ended(readers, reader_holds, hold.now_ms, 100)
    if not mode then
      redis.call("SET", lock, "s0 0 0 ")
    end
  end
  redis.call("HSET", reader_holds, owner, print_record(hold.token, hold.ttl_ms, hold.more))
  redis.call("ZADD", readers, hold.now_ms + hold.lease_ms, owner)
  end_with_last_reader(lock, readers, reader_holds)
end
