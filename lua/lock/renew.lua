--- lock.renew: set the time a hold has left.
-- Promises: the lease ends ttl_ms from now by Redis time, never added to what was left, and not after the longest time
--   that it may be held, if it has one; a hold that ended stays ended.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 lock: the hold, a string (see lib/hold)
--   4 readers: owners of shared holds by end of lease, a sorted set
--   5 reader_holds: token and lease of each shared hold, a hash
--   6 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   7 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who renews
--   5 token: of the hold
--   6 ttl_ms: new lease, ms; empty = as long as granted or renewed last
-- Replies:
--   OK ttl_ms mode [mark holds permits limit hold_left_ms]: the lease runs for ttl_ms from now; mark = 1 when this is a
--     repeat, and it began earlier, 2 when the lease is shorter than before; the rest of a hold that is more than plain
--     (see lib/record), 0 for what it is not
--   LOCK_HOLD_EXCEEDED left_ms: it may be held for less than the shortest lease yet, and ends then
--   LOCK_LOST: this owner has no hold with this token
--   LOCK_QUARANTINE left_ms: Redis lost data and may show a hold that has ended, or none that runs: see lock.reattach
-- Complexity: O(log h) with h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
local is_old = string.match(ARGV[1], "^%d+") * 68719476736 > tonumber(ARGV[5])

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  local token, ttl_ms, owner = string.match(redis.call("GET", KEYS[3]) or "", "^x(%d+) (%d+) 0 (.*)$")
  local is_plain = token == ARGV[5] and owner == ARGV[4] and (ARGV[6] == "" or ARGV[6] == ttl_ms)
  if is_plain and not is_old and not first_outcome then
    redis.call("PEXPIRE", KEYS[3], ttl_ms)
    return keep_outcome({ OK, tonumber(ttl_ms), "exclusive" })
  end
end

--- @include lib/own_hold
--- @include lib/hold_left
--- @include lib/quarantine
--- @include lib/write_hold
local lock, readers, reader_holds, owner, token, ttl_ms = KEYS[3], KEYS[4], KEYS[5], ARGV[4], ARGV[5], ARGV[6]
local lease_min_ms = 50
-- What Redis still has of an older generation is no proof either: it may be a copy from before the lease was shortened.
if is_old then
  local left_ms = quarantine_left(KEYS[6]) or 0
  if left_ms > 0 then
    return { LOCK_QUARANTINE, left_ms }
  end
end
local own = own_hold(lock, readers, reader_holds, owner)
if not own or own.token ~= token then
  return { LOCK_LOST }
end
-- Only now: a repeat must not call a lease renewed that has ended since.
if first_outcome then
  first_outcome[4] = 1
  return first_outcome
end

local held_ttl_ms, more = own.ttl_ms, own.more
if ttl_ms == "" then
  ttl_ms = held_ttl_ms
end
own.now_ms = own.now_ms or redis_now_ms()
local left_ms = hold_left(more, own.now_ms)
if left_ms < lease_min_ms then
  return { LOCK_HOLD_EXCEEDED, left_ms }
end
own.ttl_ms, own.lease_ms = ttl_ms, math.min(ttl_ms, left_ms)
local reply = { OK, own.lease_ms, own.mode }
-- By what was asked for: a lease that is cut short at the longest time ends no sooner than the one before.
if tonumber(ttl_ms) < tonumber(held_ttl_ms) then
  reply[4] = 2
end
if more then
  reply[4] = reply[4] or 0
  reply[5], reply[6], reply[7] = more.holds, more.permits, own.limit or 0
  reply[8] = more.max_hold_ms > 0 and left_ms or 0
end
write_hold(lock, readers, reader_holds, owner, own)
if ttl_ms == held_ttl_ms then
  return keep_outcome(reply)
end
--- @include lib/event
record_event(KEYS[7], "renewed", lock, owner, token, own.mode, "ttl_ms", own.lease_ms)
return keep_outcome(reply)
