--- lock.withdraw_all: take back a request for several locks: its places in their lines, and what it was granted.
-- Promises: only places that this session has, and a grant that came through this caller, are given up; whoever waits
--   longest for each lock then gets it. After it the request was never made.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request
--   3 tokens: fencing token counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   5 sessions: sessions of nodes with waiters by their end, a sorted set
--   6 granted: grants not confirmed yet, a hash (see lib/granted)
--   7 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
--   8+ lock: the hold, a string (see lib/hold)
--   9+ readers: owners of shared holds by end of lease, a sorted set
--   10+ reader_holds: token and lease of each shared hold, a hash
--   11+ waiters: those who wait, in order, a sorted set
--   12+ waiter_info: what is known of each that waits, a hash (see lib/waiter)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request; empty = it was granted nothing
--   3 owner: who asked
--   4 caller: through whom it was granted, hexadecimal
--   5 wake_channel: where waiting nodes listen
--   6 waiter: id of the places, hexadecimal
--   7 session: of the node, hexadecimal
-- Replies:
--   OK taken_back more [position]: taken_back = 1 when there was something of this caller; the places it had, from 1, and
--     0 for none; more = 1 when lock.hand_over has more to do
-- Complexity: O(n (log h + log w)) with n locks, at most 16, h shared holders and w who wait; each line is bounded as
--   lock.release bounds it
-- Retry: safe
--- @include lib/fence
--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/may_grant
--- @include lib/several
--- @include lib/hand_over
local owner, caller, wake_channel, waiter, session = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local outcome = redis.call("GET", KEYS[2])
local kept = outcome and cmsgpack.unpack(outcome)
local grant = kept and kept[1] == ARGV[2] and kept[2][locks + 3] == caller and kept[2]
local begins_in_ms = grants_begin_in_ms(tokens, quarantine)
local reply, taken_back, more = { OK, 0, 0 }, 0, 0
if grant then
  redis.call("DEL", KEYS[2])
  taken_back = 1
end
for number = 1, locks do
  turn_to(number)
  local place, position = redis.call("HGET", waiter_info, waiter), 0
  local whose, mode
  if place then
    whose, mode = parse_waiter(place)
  end
  if whose == session then
    position = redis.call("ZRANK", waiters, waiter) + 1
    leave_line(waiters, waiter_info, waiter, mode)
    redis.call("HDEL", granted, waiter)
    taken_back = 1
  end
  if grant then
    local own = own_hold(lock, readers, reader_holds, owner)
    if own and own.token == string.format("%.0f", grant[number + 2]) then
      end_hold(lock, readers, reader_holds, owner, own)
      record_event(lock_events, "released", lock, owner, own.token, own.mode)
    end
  end
  if begins_in_ms == 0 then
    local _, line_more = hand_over(redis_now_ms(), wake_channel)
    more = math.max(more, line_more)
  elseif redis.call("EXISTS", waiters) == 0 then
    redis.call("DEL", waiter_info)
  end
  reply[number + 3] = position
end
reply[2], reply[3] = taken_back, more
return reply
