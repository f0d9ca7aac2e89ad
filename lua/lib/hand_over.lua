-- Gives a lock to those whose turn it is: the first in line, or all readers at its head together. Behind a writer that
-- waits no reader goes in, so neither starves. Waiters whose session ended are removed on the way.
-- A lock is given for a moment only: the node confirms it when it knows that somebody is there to hear of it. So a
-- grant to a node that died passes on.
-- Who waits for several locks is told of its turn instead of given the lock: its node then asks for all of them, in a
-- script that has their keys, and is passed over when it does not for as long as a grant stays unconfirmed.
-- Works on the keys that lib/line or lib/several names.
--- @include lib/granted
--- @include lib/hold
--- @include lib/now
--- @include lib/reader
--- @include lib/shared_hold
--- @include lib/waiter
local grants_max, dead_max, holders_max = 100, 1000, 10000
local provision_ms, granted_keep_ms = 2000, 60000
local waits_for_several, knows_turn = "0", "1"

local function leave_line(waiter)
  redis.call("ZREM", waiters, waiter)
  redis.call("HDEL", waiter_info, waiter)
end

local function give(waiter, info, now_ms, wake_channel)
  local session, mode, ttl_ms, fingerprint, owner = parse_waiter(info)
  local token = string.format("%.0f", redis.call("INCR", tokens))
  local lease_ms = math.min(tonumber(ttl_ms), provision_ms)
  leave_line(waiter)
  if mode == "exclusive" then
    redis.call("UNLINK", readers, reader_holds)
    redis.call("SET", lock, "x" .. token .. " " .. lease_ms .. " 0 " .. owner, "PX", lease_ms)
  else
    hold_shared(lock, readers, reader_holds, owner, token, lease_ms, now_ms)
  end
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

-- `asking`: the waiter of several locks that is here itself, if one is.
-- Returns how many were given the lock, 1 when another call may do more, else 0, and when the hold ends that alone
-- keeps out the first in line, if it is another than the last, and whether it is the turn of the one that asks.
local function hand_over(now_ms, wake_channel, asking)
  local hold = redis.call("GET", lock)
  local is_exclusive = hold and parse_hold(hold)
  local live = hold and not is_exclusive and redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") or 0
  local grants, dead, more, own_ends_at, is_turn = 0, 0, 0, nil, false
  while not is_exclusive do
    local waiter = redis.call("ZRANGE", waiters, 0, 0)[1]
    if not waiter then
      break
    end
    if grants == grants_max or dead == dead_max then
      more = 1
      break
    end
    local info = redis.call("HGET", waiter_info, waiter)
    local session, mode, ttl_ms, _, owner = parse_waiter(info)
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms then
      leave_line(waiter)
      dead = dead + 1
    elseif mode == "exclusive" and live > 0 or live >= holders_max then
      break
    elseif mode == "shared" and ends_of_reader(readers, owner) > now_ms then
      own_ends_at = ends_of_reader(readers, owner)
      break
    elseif waiter == asking then
      is_turn = true
      break
    elseif ttl_ms == waits_for_several or ttl_ms == knows_turn then
      own_ends_at = tell_turn(waiter, info, now_ms, wake_channel)
      if own_ends_at then
        break
      end
      redis.call("HDEL", granted, waiter)
      leave_line(waiter)
      dead = dead + 1
    else
      give(waiter, info, now_ms, wake_channel)
      grants, live = grants + 1, live + 1
      is_exclusive = mode == "exclusive"
    end
  end
  if grants > 0 then
    redis.call("PEXPIRE", granted, granted_keep_ms)
  end
  if redis.call("EXISTS", waiters) == 0 then
    redis.call("DEL", waiter_info)
  end
  return grants, more, own_ends_at, is_turn
end
