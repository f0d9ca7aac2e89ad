--- lock.downgrade: make an exclusive hold a shared one, and let in the readers whose turn it is.
-- Promises: the hold never ends on the way, and keeps its token and what its lease has left.
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
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who holds it
--   5 token: of the exclusive hold
--   6 wake_channel: where waiting nodes listen
-- Replies:
--   OK ttl_ms again holds hold_left_ms more: it is shared, and its lease runs for ttl_ms yet; again = 1 when this is a
--     repeat; more of the hold, 0 for what it is not; more = 1 when lock.hand_over has more to do
--   LOCK_NOT_HELD: this owner holds nothing here
--   TOKEN_STALE: this owner's hold has another token
--   LOCK_MODE_MISMATCH mode: the hold is not an exclusive one
--   LOCK_QUARANTINE left_ms: what Redis shows of an older generation is no proof; renew it first
-- Complexity: O(log h + log w) with h holders and w who wait; bounded as lock.release is
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/hold_left
--- @include lib/quarantine
--- @include lib/line
--- @include lib/hand_over
local owner, wake_channel = ARGV[4], ARGV[6]
if tonumber(ARGV[5]) < string.match(ARGV[1], "^%d+") * 68719476736 then
  local left_ms = quarantine_left(KEYS[11]) or 0
  if left_ms > 0 then
    return { LOCK_QUARANTINE, left_ms }
  end
end
local own = own_hold(lock, readers, reader_holds, owner)
if not own then
  return { LOCK_NOT_HELD }
end
if own.token ~= ARGV[5] then
  return { TOKEN_STALE }
end
if first_outcome then
  first_outcome[3] = 1
  return first_outcome
end
if own.mode ~= "exclusive" then
  return { LOCK_MODE_MISMATCH, own.mode }
end

local now_ms, holds, more = redis_now_ms(), own.more and own.more.holds or 0, 0
own.mode, own.now_ms, own.lease_ms = "shared", now_ms, math.max(redis.call("PTTL", lock), 1)
write_hold(lock, readers, reader_holds, owner, own)
record_event(KEYS[12], "renewed", lock, owner, own.token, "shared", "ttl_ms", own.lease_ms)
if not counter_is_lost and redis.call("EXISTS", waiters) == 1 then
  local _
  _, more = hand_over(now_ms, wake_channel)
end
local hold_left_ms = own.more and own.more.max_hold_ms > 0 and hold_left(own.more, now_ms) or 0
return keep_outcome({ OK, own.lease_ms, 0, holds, hold_left_ms, more })
