-- Gives a lock to those whose turn it is: the first in line, or all readers at its head together, or as many as a
-- semaphore has permits for. Nobody passes the first in line: behind a writer that waits no reader goes in, and behind
-- one that wants many permits none that wants few, so nobody starves. Waiters whose session ended are removed on
-- the way.
-- A lock is given for a moment only: the node confirms it when it knows that somebody is there to hear of it. So a
-- grant to a node that died passes on.
-- KEYS[3] to KEYS[10] are what every script that hands over declares.
--- @include lib/detail
--- @include lib/held
--- @include lib/leave_line
--- @include lib/new_record
--- @include lib/now
--- @include lib/permits
--- @include lib/reader
--- @include lib/waiter
--- @include lib/write_hold
local tokens, lock, readers, reader_holds = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local waiters, waiter_info, sessions, granted = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local grants_max, dead_max, holders_max = 100, 1000, 10000
local provision_ms, granted_keep_ms = 2000, 60000

local function give(waiter, info, now_ms, wake_channel)
  local session, mode, ttl_ms, fingerprint, owner, detail = parse_waiter(info)
  local token, asked = string.format("%.0f", redis.call("INCR", tokens)), parse_detail(detail)
  local lease_ms = math.min(tonumber(ttl_ms), provision_ms)
  leave_line(waiters, waiter_info, waiter, mode)
  write_hold(lock, readers, reader_holds, owner, {
    mode = mode,
    token = token,
    ttl_ms = lease_ms,
    lease_ms = lease_ms,
    now_ms = now_ms,
    more = new_record(asked, now_ms),
    limit = asked.limit,
  })
  local grant = string.format("%.0f %s %s %s %s", now_ms + lease_ms, token, session, fingerprint, lock)
  redis.call("HSET", granted, waiter, grant)
  redis.call("PUBLISH", wake_channel .. ":" .. session, waiter .. " " .. token)
end

-- Whether there is room for the first in line; if not, and it is not the last hold that keeps it out, when the hold
-- ends that does, or may do.
local function room_for(held, info, now_ms)
  local _, mode, _, _, owner, detail = parse_waiter(info)
  if not held.mode then
    return true
  elseif held.mode ~= mode or mode == "exclusive" or held.live >= holders_max then
    return false
  elseif ends_of_reader(readers, owner) > now_ms then
    return false, ends_of_reader(readers, owner)
  elseif has_permits(held, parse_detail(detail).permits, lock, readers, reader_holds, now_ms) then
    return true
  end
  return false, tonumber(redis.call("ZRANGEBYSCORE", readers, "(" .. now_ms, "+inf", "WITHSCORES", "LIMIT", 0, 1)[2])
end

-- Returns how many were given the lock, 1 when another call may do more, else 0, and when the hold ends that keeps out
-- the first in line, if it is another than the last.
local function hand_over(now_ms, wake_channel)
  local held = look_at_hold(lock, readers, now_ms)
  local grants, dead, more, sooner_at = 0, 0, 0, nil
  while held.mode ~= "exclusive" do
    local waiter = redis.call("ZRANGE", waiters, 0, 0)[1]
    if not waiter then
      break
    end
    if grants == grants_max or dead == dead_max then
      more = 1
      break
    end
    local info = redis.call("HGET", waiter_info, waiter)
    local session, mode = parse_waiter(info)
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms then
      leave_line(waiters, waiter_info, waiter, mode)
      dead = dead + 1
    else
      local has_room, ends_at = room_for(held, info, now_ms)
      if not has_room then
        sooner_at = ends_at
        break
      end
      give(waiter, info, now_ms, wake_channel)
      grants = grants + 1
      held = look_at_hold(lock, readers, now_ms)
    end
  end
  if grants > 0 then
    redis.call("PEXPIRE", granted, granted_keep_ms)
  end
  if redis.call("EXISTS", waiters) == 0 then
    redis.call("DEL", waiter_info)
  end
  return grants, more, sooner_at
end
