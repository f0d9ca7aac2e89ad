-- Gives a lock to those whose turn it is: the first in line, or all readers at its head together, or as many as a
-- semaphore has permits for. Nobody passes the first in line: behind a writer that waits no reader goes in, and behind
-- one that wants many permits none that wants few, so nobody starves. Waiters whose session ended are removed on
-- the way.
-- A lock is given for a moment only: the node confirms it when it knows that somebody is there to hear of it. So a
-- grant to a node that died passes on.
-- Who waits for several locks is told of its turn instead of given the lock: its node then asks for all of them, in a
-- script that has their keys, and is passed over when it does not for as long as a grant stays unconfirmed. So is a
-- reader that waits to become the writer, which no grant may end before its node has come for it.
-- Works on the keys that lib/line or lib/several names.
--- @include lib/detail
--- @include lib/granted
--- @include lib/held
--- @include lib/leave_line
--- @include lib/new_record
--- @include lib/now
--- @include lib/permits
--- @include lib/reader
--- @include lib/waiter
--- @include lib/write_hold
local grants_max, dead_max, holders_max = 100, 1000, 10000
local provision_ms, granted_keep_ms = 2000, 60000
local waits_for_several, knows_turn = "0", "1"

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

-- Until when the waiter of several locks may leave its turn unused; nothing when it has.
local function tell_turn(waiter, info, now_ms, wake_channel)
  local session, _, ttl_ms, fingerprint = parse_waiter(info)
  if ttl_ms == knows_turn then
    return tonumber(redis.call("ZSCORE", sessions, session))
  end
  local told = redis.call("HGET", granted, waiter)
  if told then
    local ends_at = tonumber((parse_grant(told)))
    return ends_at > now_ms and ends_at or nil
  end
  local ends_at = now_ms + provision_ms
  local turn = string.format("%.0f 0 %s %s %s", ends_at, session, fingerprint, lock)
  redis.call("HSET", granted, waiter, turn)
  redis.call("PEXPIRE", granted, granted_keep_ms)
  redis.call("PUBLISH", wake_channel .. ":" .. session, waiter .. " 0")
  return ends_at
end

-- Whether there is room for the first in line; if not, and it is not the last hold that keeps it out, when the hold
-- ends that does, or may do.
local function room_for(held, info, now_ms)
  local _, mode, _, _, owner, detail = parse_waiter(info)
  if mode == "upgrade" then
    local own_ends_at = ends_of_reader(readers, owner)
    -- Also when there is nothing left to upgrade: its node hears of that when it comes for it.
    if held.mode ~= "shared" or held.live == 1 or own_ends_at <= now_ms then
      return true
    end
    local last = redis.call("ZRANGE", readers, -2, -1, "WITHSCORES")
    return false, math.min(own_ends_at, tonumber(last[3] == owner and last[2] or last[4]))
  elseif not held.mode then
    return true
  elseif held.mode ~= mode or mode == "exclusive" or mode == "shared" and held.live >= holders_max then
    return false
  elseif ends_of_reader(readers, owner) > now_ms then
    return false, ends_of_reader(readers, owner)
  elseif has_permits(held, parse_detail(detail).permits, lock, readers, reader_holds, now_ms) then
    return true
  end
  return false, tonumber(redis.call("ZRANGEBYSCORE", readers, "(" .. now_ms, "+inf", "WITHSCORES", "LIMIT", 0, 1)[2])
end

-- `asking`: the waiter of several locks that is here itself, if one is.
-- Returns how many were given the lock, 1 when another call may do more, else 0, when the hold or the turn ends that
-- keeps out the first in line or those behind it, if it is another than the last hold, and whether it is the turn of
-- the one that asks.
local function hand_over(now_ms, wake_channel, asking)
  local held = look_at_hold(lock, readers, now_ms)
  local grants, dead, more, sooner_at, is_turn = 0, 0, 0, nil, false
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
    local session, mode, ttl_ms = parse_waiter(info)
    local is_dead = tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms
    if not is_dead then
      local has_room, ends_at = room_for(held, info, now_ms)
      if not has_room then
        sooner_at = ends_at
        break
      end
      if waiter == asking then
        is_turn = true
        break
      end
      if ttl_ms == waits_for_several or ttl_ms == knows_turn then
        sooner_at = tell_turn(waiter, info, now_ms, wake_channel)
        if sooner_at then
          break
        end
        redis.call("HDEL", granted, waiter)
        is_dead = true
      end
    end
    if is_dead then
      leave_line(waiters, waiter_info, waiter, mode)
      dead = dead + 1
    else
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
  return grants, more, sooner_at, is_turn
end
