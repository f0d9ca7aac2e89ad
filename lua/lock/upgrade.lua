--- lock.upgrade: make a shared hold the exclusive one, or stand before all others in line for that.
-- Promises: the exclusive hold has a new token, above all earlier ones; until then the shared hold stays, and no further
--   reader is let in. One upgrade of a lock waits at a time: two would wait for each other.
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
--   12 lock_events: what happens to the partition's locks, a stream (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, without spaces; empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who holds it shared
--   5 token: of the shared hold
--   6 ttl_ms: lease, ms; empty = as long as that of the shared hold
--   7 waiter: id of the place in the line, hexadecimal
--   8 session: of the node, hexadecimal
--   9 session_ms: how long it lives unless the node attends to it, ms
--   10 wait_ms: how long the caller waits at the most, ms; 0 = not at all
--   11 wake_channel: where waiting nodes listen
-- Replies:
--   OK token ttl_ms again holds hold_left_ms: it is exclusive; again = 1 when this is a repeat, whose lease began earlier;
--     more of the hold, 0 for what it is not: how often it was taken, for how long it may be held yet
--   LOCK_HELD mode count [owner token expires_in_ms] waiters [about]: others hold it too, and it waits unless wait_ms is 0
--   LOCK_DEADLOCK owner: refused, the upgrade of this other holder waits
--   LOCK_NOT_HELD: this owner holds nothing here
--   TOKEN_STALE: this owner's hold has another token
--   LOCK_MODE_MISMATCH mode: the hold is not a shared one
--   LOCK_HOLD_EXCEEDED left_ms: it may be held for less than the shortest lease yet
--   LOCK_QUARANTINE left_ms: refused for so long, for nothing is granted then
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h + log w) with h holders and w who wait
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/held
--- @include lib/hold_left
--- @include lib/leave_line
--- @include lib/may_grant
--- @include lib/place
--- @include lib/print_waiter
--- @include lib/refuse
--- @include lib/tell_if_sooner
--- @include lib/waiter
--- @include lib/write_hold
local lock, readers, reader_holds, waiters, waiter_info = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local owner, waiter, session, wake_channel = ARGV[4], ARGV[7], ARGV[8], ARGV[11]
local lease_min_ms, session_ms, now_ms = 50, tonumber(ARGV[9]), redis_now_ms()
local own = own_hold(lock, readers, reader_holds, owner)
if first_outcome then
  local token = string.format("%.0f", first_outcome[2])
  if own and own.token == token then
    first_outcome[4] = 1
    return first_outcome
  end
  return { LOCK_RELEASED, token }
end
local place = redis.call("HGET", waiter_info, waiter)
if place then
  local _, _, _, fingerprint = parse_waiter(place)
  if fingerprint ~= ARGV[2] then
    return { REQUEST_ID_REUSED }
  end
end
if not own then
  return { LOCK_NOT_HELD }
end
if own.token ~= ARGV[5] then
  return { TOKEN_STALE }
end
if own.mode ~= "shared" then
  return { LOCK_MODE_MISMATCH, own.mode }
end
local left_ms = hold_left(own.more, now_ms)
if left_ms < lease_min_ms then
  return { LOCK_HOLD_EXCEEDED, left_ms }
end
local begins_in_ms = grants_begin_in_ms(KEYS[3], KEYS[11])
if not begins_in_ms then
  return { FENCE_MISSING }
end
if begins_in_ms > 0 then
  return { LOCK_QUARANTINE, begins_in_ms }
end
local others = look_at_hold(lock, readers, now_ms).live - 1
local first = redis.call("ZRANGE", waiters, 0, 0, "WITHSCORES")
if others > 0 and first[1] and first[1] ~= waiter then
  local whose, mode, _, _, other = parse_waiter(redis.call("HGET", waiter_info, first[1]))
  if mode == "upgrade" and tonumber(redis.call("ZSCORE", KEYS[9], whose) or 0) > now_ms then
    return { LOCK_DEADLOCK, other }
  end
end

if others > 0 then
  if ARGV[10] ~= "0" then
    redis.call("HDEL", KEYS[10], waiter)
    redis.call("ZADD", KEYS[9], now_ms + session_ms, session)
    redis.call("PEXPIRE", KEYS[9], session_ms)
    if not place then
      redis.call("ZADD", waiters, first[2] and first[2] - 1 or next_place(waiters), waiter)
    end
    -- With no lease, as one that is told of its turn (see lib/waiter): its node then comes here again.
    redis.call("HSET", waiter_info, waiter, print_waiter(session, "upgrade", "0", ARGV[2], owner, ""))
    local keep_ms = session_ms + ARGV[10]
    if redis.call("PTTL", waiters) < keep_ms then
      redis.call("PEXPIRE", waiters, keep_ms)
      redis.call("PEXPIRE", waiter_info, keep_ms)
    end
  end
  return refuse_with_holders(LOCK_HELD, lock, readers, reader_holds, waiters)
end

local token = redis.call("INCR", KEYS[3])
redis.call("HDEL", KEYS[10], waiter)
if place then
  leave_line(waiters, waiter_info, waiter, "upgrade")
end
record_event(KEYS[12], "released", lock, owner, own.token, "shared")
own.mode, own.token, own.now_ms = "exclusive", string.format("%.0f", token), now_ms
own.ttl_ms = tonumber(ARGV[6] == "" and own.ttl_ms or ARGV[6])
own.lease_ms = math.min(own.ttl_ms, left_ms)
write_hold(lock, readers, reader_holds, owner, own)
record_event(KEYS[12], "granted", lock, owner, own.token, "exclusive", "ttl_ms", own.lease_ms)
if redis.call("EXISTS", waiters) == 1 then
  tell_if_sooner(lock, waiter_info, wake_channel, now_ms + own.lease_ms)
else
  redis.call("DEL", waiter_info)
end
local holds, is_limited = own.more and own.more.holds or 0, own.more and own.more.max_hold_ms > 0
return keep_outcome({ OK, token, own.lease_ms, 0, holds, is_limited and left_ms or 0 })
