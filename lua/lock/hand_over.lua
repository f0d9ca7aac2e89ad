--- lock.hand_over: give a lock whose hold has ended to the next in line, or say how long it is held yet.
-- Promises: as lock.release, but it ends no hold; those who look later than the lock is free are told to look again.
-- KEYS:
--   1 fence: the partition's fence
--   2 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   3 tokens: fencing token counter
--   4 lock: the hold, a string (see lib/hold)
--   5 readers: owners of shared holds by end of lease, a sorted set
--   6 reader_holds: token and lease of each shared hold, a hash
--   7 waiters: those who wait, in order, a sorted set
--   8 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   9 sessions: sessions of nodes with waiters by their end, a sorted set
--   10 granted: grants not confirmed yet, a hash (see lib/granted)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 wake_channel: where waiting nodes listen
-- Replies:
--   OK left_ms waiters grants more: what holds the lock ends in left_ms; so many wait yet, and so many were given it;
--     more = 1 when another call has more to do
-- Complexity: O(log h + log w) with h holders and w who wait; bounded as lock.release is
-- Retry: safe
--- @include lib/fence
--- @include lib/counter
--- @include lib/may_grant
--- @include lib/held_until
--- @include lib/tell
--- @include lib/tell_if_sooner
--- @include lib/line
--- @include lib/hand_over
local wake_channel = ARGV[2]
local begins_in_ms = grants_begin_in_ms(tokens, KEYS[2])
if not begins_in_ms then
  return { FENCE_MISSING }
end
local now_ms = redis_now_ms()
local grants, more, sooner_at = 0, 0, nil
if begins_in_ms == 0 then
  grants, more, sooner_at = hand_over(now_ms, wake_channel)
end
local ends_at = math.max(sooner_at or held_until(lock, readers, now_ms), now_ms + begins_in_ms)
local waiting = redis.call("ZCARD", waiters)
if waiting > 0 then
  -- What was given just now ends sooner only if nobody confirms it, which attending nodes notice.
  if grants == 0 and begins_in_ms == 0 then
    tell_if_sooner(lock, waiter_info, wake_channel, ends_at)
  end
  tell(waiter_info, ends_at)
end
return { OK, ends_at - now_ms, waiting, grants, more }
