--- lock.wait_all: stand in the lines of several locks of a partition at once, and take them all when it is the turn in all.
-- Promises: a request has one place in each of the lines, or in none; two requests stand in the same order in all lines
--   that they share, so neither waits for the other and the other for it.
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
--   2 fingerprint: of the request, without spaces; empty = its grant is not kept, and cannot be taken back
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who asks
--   5 mode: exclusive or shared
--   6 ttl_ms: lease, ms
--   7 caller: who may take the grant back, hexadecimal
--   8 wake_channel: where waiting nodes listen
--   9 waiter: id of the places, hexadecimal
--   10 session: of the node, hexadecimal
--   11 session_ms: how long it lives unless the node attends to it, ms
--   12 wait_ms: how long the caller waits at the most, ms
-- Replies:
--   OK again [token]: granted, with the token of each; again = 1 when this is a repeat, whose leases began earlier
--   LOCK_HELD more [position left_ms]: it stands in all lines, at this position from 1; what keeps it out there ends in
--     left_ms, 0 when nothing does but the others; more = 1 when another call may do more
--   LOCK_WAITERS_FULL number: refused, 10000 wait for the lock of that number
--   LOCK_RELEASED token number: this request was granted the locks, and that grant has ended since
-- Complexity: O(n (log h + log w)) with n locks, at most 16, h shared holders and w who wait; each line is bounded as
--   lock.release bounds it
-- Retry: safe with the same waiter
--- @include lib/fence
--- @include lib/first_outcome
--- @include lib/counter
--- @include lib/own_hold
--- @include lib/may_grant
--- @include lib/held_until
--- @include lib/place
--- @include lib/tell
--- @include lib/tell_if_sooner
--- @include lib/several
--- @include lib/take_all
--- @include lib/granted_all
--- @include lib/hand_over
local owner, mode, ttl_ms, caller, wake_channel = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local waiter, session = ARGV[9], ARGV[10]
local session_ms = tonumber(ARGV[11])
if first_outcome then
  return granted_before(first_outcome, owner, caller)
end
local places, full = 0, nil
for number = 1, locks do
  turn_to(number)
  local place = redis.call("HGET", waiter_info, waiter)
  if place then
    places = places + 1
    if select(4, parse_waiter(place)) ~= ARGV[2] then
      return { REQUEST_ID_REUSED }
    end
  elseif redis.call("ZCARD", waiters) >= 10000 then
    full = full or number
  end
end
if full then
  return { LOCK_WAITERS_FULL, full }
end
local begins_in_ms = grants_begin_in_ms(tokens, quarantine)
if not begins_in_ms then
  return { FENCE_MISSING }
end

local now_ms = redis_now_ms()
local function info_of(marker)
  return table.concat({ session, mode, marker, ARGV[2], owner }, " ")
end
local keep_ms = session_ms + ARGV[12]
redis.call("HDEL", granted, waiter)
redis.call("ZADD", sessions, now_ms + session_ms, session)
redis.call("PEXPIRE", sessions, session_ms)
for number = 1, locks do
  turn_to(number)
  -- Passed over in one line only, it would be behind somebody there who is behind it in another.
  if places < locks then
    redis.call("ZADD", waiters, next_place(waiters), waiter)
  end
  redis.call("HSET", waiter_info, waiter, info_of(waits_for_several))
  if redis.call("PTTL", waiters) < keep_ms then
    redis.call("PEXPIRE", waiters, keep_ms)
    redis.call("PEXPIRE", waiter_info, keep_ms)
  end
end

local turns, count, ends_at, more = {}, 0, {}, 0
for number = 1, locks do
  turn_to(number)
  local line_more, sooner_at, is_turn, _ = 0, nil, false, nil
  if begins_in_ms == 0 then
    _, line_more, sooner_at, is_turn = hand_over(now_ms, wake_channel, waiter)
  end
  more = math.max(more, line_more)
  turns[number], count = is_turn, count + (is_turn and 1 or 0)
  ends_at[number] = math.max(sooner_at or held_until(lock, readers, now_ms), now_ms + begins_in_ms)
end

if count == locks then
  for number = 1, locks do
    turn_to(number)
    leave_line(waiters, waiter_info, waiter, mode)
  end
  local reply = take_all(owner, mode, ttl_ms, caller, now_ms)
  for number = 1, locks do
    turn_to(number)
    if redis.call("EXISTS", waiters) == 0 then
      redis.call("DEL", waiter_info)
    else
      hand_over(now_ms, wake_channel)
      tell_if_sooner(lock, waiter_info, wake_channel, held_until(lock, readers, now_ms))
    end
  end
  return reply
end
local reply = { LOCK_HELD, more }
for number = 1, locks do
  turn_to(number)
  if turns[number] then
    redis.call("HSET", waiter_info, waiter, info_of(knows_turn))
  else
    tell(waiter_info, ends_at[number])
  end
  reply[#reply + 1] = redis.call("ZRANK", waiters, waiter) + 1
  reply[#reply + 1] = turns[number] and 0 or ends_at[number] - now_ms
end
return reply
