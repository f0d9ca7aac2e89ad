--- lock.wait: stand in line for a lock, or take up the place that this request has there already.
-- Promises: whoever came first is first, in whatever mode and through whatever node; a request has one place, and comes
--   through its last caller. What is granted must be confirmed.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 tokens: fencing token counter
--   4 lock: the hold, a string (see lib/hold)
--   5 readers: owners of shared holds by end of lease, a sorted set
--   6 reader_holds: token and lease of each shared hold, a hash
--   7 waiters: those who wait, in order, a sorted set
--   8 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   9 sessions: sessions of nodes with waiters by their end, a sorted set
--   10 granted: grants not confirmed yet, a hash (see lib/granted)
--   11 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, without spaces; empty without a request id
--   3 owner: who asks
--   4 mode: exclusive, shared or semaphore
--   5 ttl_ms: lease, ms
--   6 waiter: id of the place, hexadecimal
--   7 session: of the node, hexadecimal
--   8 session_ms: how long it lives unless the node attends to it, ms
--   9 wait_ms: how long the caller waits at the most, ms
--   10 wake_channel: where waiting nodes listen
--   11 detail: what it asks beyond that (see lib/detail), empty = a plain lock
-- Replies:
--   OK position waiters left_ms token more: position from 1, of so many; what holds the lock ends in left_ms; position 0
--     when it is granted, with the token; more = 1 when lock.hand_over has more to do
--   LOCK_WAITERS_FULL: refused, 10000 wait
--   LIMIT_MISMATCH limit: refused, the semaphore is held or waited for with another limit
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h + log w) with h holders and w who wait; bounded as lock.release is
-- Retry: safe with the same waiter
--- @include lib/fence
--- @include lib/first_outcome
--- @include lib/counter
--- @include lib/own_hold
--- @include lib/granted
--- @include lib/may_grant
--- @include lib/held_until
--- @include lib/place
--- @include lib/tell
--- @include lib/line
--- @include lib/hand_over
--- @include lib/print_waiter
--- @include lib/told_again
local owner, mode, ttl_ms, waiter, session, wake_channel = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[10]
local own, now_ms, limit = own_hold(lock, readers, reader_holds, owner), redis_now_ms(), parse_detail(ARGV[11]).limit
local held = own and own.token
if first_outcome then
  local token = string.format("%.0f", first_outcome[2])
  if held == token then
    told_again()
    return { OK, 0, 0, 0, token, 0 }
  end
  return { LOCK_RELEASED, token }
end
local grant, place = redis.call("HGET", granted, waiter), redis.call("HGET", waiter_info, waiter)
if grant then
  local ends_at, token, _, fingerprint = parse_grant(grant)
  if fingerprint ~= ARGV[2] and token ~= "1" then
    return { REQUEST_ID_REUSED }
  end
  if held == token then
    redis.call("HSET", granted, waiter, table.concat({ ends_at, token, session, fingerprint, lock }, " "))
    return { OK, 0, 0, 0, token, 0 }
  end
end
if place then
  local _, _, _, fingerprint = parse_waiter(place)
  if fingerprint ~= ARGV[2] then
    return { REQUEST_ID_REUSED }
  end
elseif redis.call("ZCARD", waiters) >= 10000 then
  return { LOCK_WAITERS_FULL }
elseif mode == "semaphore" then
  local in_force = look_at_hold(lock, readers, now_ms).limit or waiting_limit(waiter_info)
  if in_force and in_force ~= limit then
    return { LIMIT_MISMATCH, in_force }
  end
end
local begins_in_ms = grants_begin_in_ms(tokens, KEYS[11])
if not begins_in_ms then
  return { FENCE_MISSING }
end

local session_ms = tonumber(ARGV[8])
-- A grant that was not confirmed in time has passed on, and its waiter begins anew; so does one that was ended.
redis.call("HDEL", granted, waiter)
redis.call("ZADD", sessions, now_ms + session_ms, session)
redis.call("PEXPIRE", sessions, session_ms)
if not place then
  redis.call("ZADD", waiters, next_place(waiters), waiter)
  if mode == "semaphore" then
    local _, number = waiting_limit(waiter_info)
    redis.call("HSET", waiter_info, "limit", limit .. " " .. number + 1)
  end
end
redis.call("HSET", waiter_info, waiter, print_waiter(session, mode, ttl_ms, ARGV[2], owner, ARGV[11]))
-- A line whose nodes are all gone goes with the patience of the last.
local keep_ms = session_ms + ARGV[9]
if redis.call("PTTL", waiters) < keep_ms then
  redis.call("PEXPIRE", waiters, keep_ms)
  redis.call("PEXPIRE", waiter_info, keep_ms)
end

local more, sooner_at, _ = 0, nil, nil
if begins_in_ms == 0 then
  _, more, sooner_at = hand_over(now_ms, wake_channel)
end
local rank = redis.call("ZRANK", waiters, waiter)
if not rank then
  local _, token = parse_grant(redis.call("HGET", granted, waiter))
  return { OK, 0, 0, 0, token, more }
end
local ends_at = math.max(sooner_at or held_until(lock, readers, now_ms), now_ms + begins_in_ms)
tell(waiter_info, ends_at)
return { OK, rank + 1, redis.call("ZCARD", waiters), ends_at - now_ms, "", more }
