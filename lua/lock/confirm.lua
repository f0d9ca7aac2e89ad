--- lock.confirm: take a lock that was handed over, for the whole lease.
-- Promises: only a hold that still runs is confirmed, and its lease begins now; a repeat prolongs nothing.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 lock: the hold, a string (see lib/hold)
--   4 readers: owners of shared holds by end of lease, a sorted set
--   5 reader_holds: token and lease of each shared hold, a hash
--   6 waiters: those who wait, in order, a sorted set
--   7 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   8 granted: grants not confirmed yet, a hash (see lib/granted)
--   9 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who waited
--   5 token: of the grant
--   6 ttl_ms: lease, ms
--   7 waiter: id of the place in the line, hexadecimal
--   8 wake_channel: where waiting nodes listen
-- Replies:
--   OK token ttl_ms [again]: the lease runs for ttl_ms from now; again = 1 when this is a repeat, and it began earlier
--   LOCK_LOST: the grant was not confirmed in time and has passed on
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h) with h shared holders
-- Retry: safe
--- @include lib/fence
--- @include lib/once
--- @include lib/event
--- @include lib/own_hold
--- @include lib/held_until
--- @include lib/tell_if_sooner
--- @include lib/told_again
--- @include lib/write_hold
local lock, readers, reader_holds, waiter_info = KEYS[3], KEYS[4], KEYS[5], KEYS[7]
local owner, token, waiter = ARGV[4], ARGV[5], ARGV[7]
local ttl_ms = tonumber(ARGV[6])
local own = own_hold(lock, readers, reader_holds, owner)
local held = own and own.token
if first_outcome then
  local first = string.format("%.0f", first_outcome[2])
  if held == first then
    told_again()
    first_outcome[4] = 1
    return first_outcome
  end
  return { LOCK_RELEASED, first }
end
if held ~= token then
  return { LOCK_LOST }
end
local reply = { OK, tonumber(token), ttl_ms }
if redis.call("HDEL", KEYS[8], waiter) == 0 then
  reply[4] = 1
  return reply
end
local now_ms = redis_now_ms()
own.ttl_ms, own.lease_ms, own.now_ms = ttl_ms, ttl_ms, now_ms
if own.more then
  own.more.granted_at = now_ms
end
write_hold(lock, readers, reader_holds, owner, own)
record_event(KEYS[9], "granted", lock, owner, token, own.mode, "ttl_ms", ttl_ms)
if redis.call("EXISTS", KEYS[6]) == 1 then
  -- Of a semaphore the others have not changed, and those who wait were told of them.
  local ends_at = own.mode == "semaphore" and now_ms + ttl_ms or held_until(lock, readers, now_ms)
  tell_if_sooner(lock, waiter_info, ARGV[8], ends_at)
end
return keep_outcome(reply)
