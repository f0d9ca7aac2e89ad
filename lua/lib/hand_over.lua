-- Gives a lock to those whose turn it is: the first in line, or all readers at its head together. Behind a writer that
-- waits no reader goes in, so neither starves. Waiters whose session ended are removed on the way.
-- A lock is given for a moment only: the node confirms it when it knows that somebody is there to hear of it. So a
-- grant to a node that died passes on.
-- KEYS[3] to KEYS[10] are what every script that hands over declares.
--- @include lib/hold
--- @include lib/now
--- @include lib/reader
--- @include lib/shared_hold
--- @include lib/waiter
local tokens, lock, readers, reader_holds = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local waiters, waiter_info, sessions, granted = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local grants_max, dead_max, holders_max = 100, 1000, 10000
local provision_ms, granted_keep_ms = 2000, 60000

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

-- Returns how many were given the lock, 1 when another call may do more, else 0, and when the hold ends that alone
-- keeps out the first in line, if it is another than the last.
local function hand_over(now_ms, wake_channel)
  local hold = redis.call("GET", lock)
  local is_exclusive = hold and parse_hold(hold)
  local live = hold and not is_exclusive and redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") or 0
  local grants, dead, more, own_ends_at = 0, 0, 0, nil
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
    local session, mode, _, _, owner = parse_waiter(info)
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms then
      leave_line(waiter)
      dead = dead + 1
    elseif mode == "exclusive" and live > 0 or live >= holders_max then
      break
    elseif mode == "shared" and ends_of_reader(readers, owner) > now_ms then
      own_ends_at = ends_of_reader(readers, owner)
      break
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
  return grants, more, own_ends_at
end
