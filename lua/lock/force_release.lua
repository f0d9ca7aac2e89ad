--- lock.force_release: end holds for an operator and give the lock to the next in line.
-- Promises: only the holds named by owner and token end; whoever waits longest gets the lock, and the node that it waits
--   in is told.
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
--   11 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 wake_channel: where waiting nodes listen
--   3 reason: why, in the operator's words
--   4+ owner: who holds the lock
--   5+ token: of the hold to end
-- Replies:
--   OK ended more: so many holds ended; more = 1 when lock.hand_over has more to do
-- Complexity: O(k log h + log w) with k holds named, h shared holders and w who wait; bounded as lock.release is
-- Retry: safe
--- @include lib/fence
--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/may_grant
--- @include lib/held_until
--- @include lib/tell_if_sooner
--- @include lib/line
--- @include lib/hand_over
local wake_channel, reason = ARGV[2], ARGV[3]
local holds_max = 100
local begins_in_ms = grants_begin_in_ms(tokens, KEYS[2])
local ended, grants, more, sooner_at = 0, 0, 0, nil
for at = 4, math.min(#ARGV, 2 + 2 * holds_max), 2 do
  local owner, token = ARGV[at], ARGV[at + 1]
  local own = own_hold(lock, readers, reader_holds, owner)
  if own and own.token == token then
    end_hold(lock, readers, reader_holds, owner, own)
    record_event(KEYS[11], "released", lock, owner, token, own.mode, "reason", reason)
    ended = ended + 1
  end
end
if ended > 0 and redis.call("EXISTS", waiters) == 1 then
  local now_ms = redis_now_ms()
  if begins_in_ms == 0 then
    grants, more, sooner_at = hand_over(now_ms, wake_channel)
  end
  if grants == 0 then
    tell_if_sooner(lock, waiter_info, wake_channel, sooner_at or held_until(lock, readers, now_ms))
  end
end
return { OK, ended, more }
