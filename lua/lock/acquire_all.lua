--- lock.acquire_all: grant leases on several resources of a partition, all or none, or say what keeps the caller out.
-- Promises: as lock.acquire for each; nobody sees some of them granted and others not.
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
--   2 fingerprint: of the request; empty = its grant is not kept, and cannot be taken back
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who asks
--   5 mode: exclusive or shared
--   6 ttl_ms: lease, ms
--   7 caller: who may take the grant back, hexadecimal
--   8 wake_channel: where waiting nodes listen
-- Replies:
--   OK again [token]: granted, with the token of each; again = 1 when this is a repeat, whose leases began earlier
--   LOCK_HELD number mode count [owner token expires_in_ms] waiters [about]: as lock.acquire says it, of the lock of
--     that number
--   LOCK_HOLDERS_FULL number: refused, 10000 shared holders of that one
--   LOCK_QUARANTINE left_ms: refused for so long, for leases that Redis lost may still run
--   LOCK_RELEASED token number: this request was granted the locks, and that grant has ended since
-- Complexity: O(n (log h + log w)) with n locks, at most 16, h shared holders and w who wait; each line is bounded as
--   lock.release bounds it
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/first_outcome
--- @include lib/counter
--- @include lib/keep_grant

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  local owner, ttl_ms = ARGV[4], ARGV[6]
  local is_common = not first_outcome and not counter_is_lost and ARGV[5] == "exclusive"
  for at = 8, is_common and #KEYS or 0, 5 do
    is_common = is_common and redis.call("EXISTS", KEYS[at], KEYS[at + 3], KEYS[7]) == 0
  end
  if is_common then
    local token = redis.call("INCRBY", KEYS[3], (#KEYS - 7) / 5) - (#KEYS - 7) / 5
    local reply = { OK, 0 }
    for at = 8, #KEYS, 5 do
      token = token + 1
      redis.call("SET", KEYS[at], string.format("x%.0f %s 0 %s", token, ttl_ms, owner), "PX", ttl_ms)
      reply[#reply + 1] = token
    end
    keep_grant(reply, ARGV[7])
    return reply
  end
end

--- @include lib/own_hold
--- @include lib/refuse
--- @include lib/may_grant
--- @include lib/several
--- @include lib/keeps_out
--- @include lib/take_all
--- @include lib/granted_all
--- @include lib/hand_over
local owner, mode, ttl_ms, caller, wake_channel = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
if first_outcome then
  return granted_before(first_outcome, owner, caller)
end
local begins_in_ms = grants_begin_in_ms(tokens, quarantine)
if not begins_in_ms then
  return { FENCE_MISSING }
end
if begins_in_ms > 0 then
  return { LOCK_QUARANTINE, begins_in_ms }
end

local now_ms = redis_now_ms()
for number = 1, locks do
  turn_to(number)
  local code
  if redis.call("EXISTS", lock, waiters) > 0 then
    -- Those who are gone keep nobody out.
    hand_over(now_ms, wake_channel)
    code = keeps_out(owner, mode, now_ms) or redis.call("EXISTS", waiters) == 1 and LOCK_HELD
  end
  if code == LOCK_HOLDERS_FULL then
    return { code, number }
  end
  if code then
    local out = refuse_with_holders(code, lock, readers, reader_holds, waiters)
    table.insert(out, 2, number)
    return out
  end
end
return take_all(owner, mode, ttl_ms, caller, now_ms)
