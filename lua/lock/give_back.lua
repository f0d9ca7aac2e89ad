--- lock.give_back: end a grant whose caller was not there to hear of it, and give the lock to the next in line.
-- Promises: a grant that a repeat of the request was told of meanwhile stays, and so does one that is not confirmed yet;
--   one that ends is forgotten, so that a repeat of the request asks anew.
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
--   11 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 owner: whose grant it is
--   4 token: of the grant
--   5 waiter: id of the place it had in the line, empty without one
--   6 wake_channel: where waiting nodes listen
-- Replies:
--   OK given_back more holds: given_back = 0 when nothing was done; more = 1 when lock.hand_over has more to do; holds =
--     how often this owner has it yet, of a re-entrant hold
-- Complexity: O(log h + log w) with h shared holders and w who wait; bounded as lock.release is
-- Retry: safe
--- @include lib/fence
--- @include lib/event
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/print_record
--- @include lib/counter
--- @include lib/held_until
--- @include lib/tell_if_sooner
--- @include lib/line
--- @include lib/hand_over
local owner, token, waiter, wake_channel = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local kept = redis.call("GET", KEYS[2])
if kept then
  kept = cmsgpack.unpack(kept)
  local fingerprint, is_told_again = kept[1], kept[3]
  if fingerprint ~= ARGV[2] or is_told_again then
    return { OK, 0, 0, 0 }
  end
end
local own = own_hold(lock, readers, reader_holds, owner)
if not own or own.token ~= token or redis.call("HEXISTS", granted, waiter) == 1 then
  return { OK, 0, 0, 0 }
end

redis.call("DEL", KEYS[2])
local holds = own.more and own.more.holds or 0
if holds > 1 then
  own.more.holds = holds - 1
  redis.call("HSET", reader_holds, owner, print_record(own.token, own.ttl_ms, own.more))
  return { OK, 1, 0, own.more.holds }
end
end_hold(lock, readers, reader_holds, owner, own)
record_event(KEYS[11], "released", lock, owner, token, own.mode)
if redis.call("EXISTS", waiters) == 0 then
  return { OK, 1, 0, 0 }
end
local now_ms = redis_now_ms()
local grants, more, sooner_at = 0, 0, nil
if not counter_is_lost then
  grants, more, sooner_at = hand_over(now_ms, wake_channel)
end
if grants == 0 and own.mode ~= "semaphore" then
  tell_if_sooner(lock, waiter_info, wake_channel, sooner_at or held_until(lock, readers, now_ms))
end
return { OK, 1, more, 0 }
