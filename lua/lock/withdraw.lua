--- lock.withdraw: leave the line, or give back at once what was granted and not confirmed.
-- Promises: only a place that this session has is given up; whoever waits longest then gets the lock.
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
--   2 waiter: id of the place, hexadecimal
--   3 session: of the node, hexadecimal
--   4 owner: who waited
--   5 wake_channel: where waiting nodes listen
-- Replies:
--   OK position more: the place it had, from 1; 0 when it had none, or the lock; more = 1 when lock.hand_over has more
--     to do
-- Complexity: O(log h + log w) with h holders and w who wait; bounded as lock.release is
-- Retry: safe
--- @include lib/fence
--- @include lib/counter
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/granted
--- @include lib/may_grant
--- @include lib/line
--- @include lib/hand_over
local waiter, session, owner, wake_channel = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local place, grant = redis.call("HGET", waiter_info, waiter), redis.call("HGET", granted, waiter)
local position = 0
local whose_place, mode
if place then
  whose_place, mode = parse_waiter(place)
end
if whose_place == session then
  position = redis.call("ZRANK", waiters, waiter) + 1
  leave_line(waiters, waiter_info, waiter, mode)
elseif grant then
  local _, token, whose = parse_grant(grant)
  if whose ~= session then
    return { OK, 0, 0 }
  end
  redis.call("HDEL", granted, waiter)
  local own = own_hold(lock, readers, reader_holds, owner)
  if own and own.token == token then
    end_hold(lock, readers, reader_holds, owner, own)
  end
else
  return { OK, 0, 0 }
end
local more, _ = 0, nil
if grants_begin_in_ms(tokens, KEYS[2]) == 0 then
  _, more = hand_over(redis_now_ms(), wake_channel)
elseif redis.call("EXISTS", waiters) == 0 then
  redis.call("DEL", waiter_info)
end
return { OK, position, more }
