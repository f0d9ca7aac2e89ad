--- lock.renew_all: set the time that is left of one owner's holds on several locks of a partition, all or none.
-- Promises: as lock.renew for each; when one is lost the others keep what they have left.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   4 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
--   5+ lock: the hold, a string (see lib/hold)
--   6+ readers: owners of shared holds by end of lease, a sorted set
--   7+ reader_holds: token and lease of each shared hold, a hash
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who renews
--   5 ttl_ms: new lease, ms; empty = of each as long as granted or renewed last
--   6+ token: of the hold
-- Replies:
--   OK mark [ttl_ms mode holds permits limit hold_left_ms]: each lease runs for its ttl_ms from now; mark = 1 when this is
--     a repeat, and they began earlier, 2 when one is shorter than before, else 0; the rest as of lock.renew
--   LOCK_LOST [code]: nothing was renewed: OK for a hold that runs, LOCK_LOST for one that this owner does not have,
--     LOCK_HOLD_EXCEEDED for one that may not be renewed
--   LOCK_HOLD_EXCEEDED left_ms [code]: none is lost, but one may be held for only so long yet, and nothing was renewed
--   LOCK_QUARANTINE left_ms: as of lock.renew, for one of them at least
-- Complexity: O(n log h) with n locks, at most 16, and h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/event
--- @include lib/own_hold
--- @include lib/hold_left
--- @include lib/quarantine
--- @include lib/write_hold
local owner, ttl_ms = ARGV[4], ARGV[5]
local locks = math.min(math.floor((#KEYS - 4) / 3), 16)
local floor = string.match(ARGV[1], "^%d+") * 68719476736
local left_ms = 0
for number = 1, locks do
  if tonumber(ARGV[5 + number]) < floor then
    left_ms = quarantine_left(KEYS[3]) or 0
    break
  end
end
if left_ms > 0 then
  return { LOCK_QUARANTINE, left_ms }
end
local function keys_of(number)
  local at = 1 + 3 * number
  return KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
end
local lease_min_ms = 50
local owns, codes, lost, exceeded_ms = {}, {}, false, nil
for number = 1, locks do
  local lock, readers, reader_holds = keys_of(number)
  local own = own_hold(lock, readers, reader_holds, owner)
  if not own or own.token ~= ARGV[5 + number] then
    codes[number], lost = LOCK_LOST, true
  else
    own.now_ms = own.now_ms or redis_now_ms()
    own.left_ms = hold_left(own.more, own.now_ms)
    codes[number] = own.left_ms < lease_min_ms and LOCK_HOLD_EXCEEDED or OK
    exceeded_ms = own.left_ms < lease_min_ms and math.min(exceeded_ms or own.left_ms, own.left_ms) or exceeded_ms
  end
  owns[number] = own
end
if lost then
  table.insert(codes, 1, LOCK_LOST)
  return codes
end
-- Only now: a repeat must not call a lease renewed that has ended since.
if first_outcome then
  first_outcome[2] = 1
  return first_outcome
end
if exceeded_ms then
  table.insert(codes, 1, math.max(0, exceeded_ms))
  table.insert(codes, 1, LOCK_HOLD_EXCEEDED)
  return codes
end

local reply = { OK, 0 }
for number = 1, locks do
  local lock, readers, reader_holds = keys_of(number)
  local own, at = owns[number], #reply
  local more, held_ttl_ms = own.more, tonumber(own.ttl_ms)
  own.ttl_ms = ttl_ms == "" and own.ttl_ms or ttl_ms
  own.lease_ms = math.min(tonumber(own.ttl_ms), own.left_ms)
  if tonumber(own.ttl_ms) < held_ttl_ms then
    reply[2] = 2
  end
  reply[at + 1], reply[at + 2] = own.lease_ms, own.mode
  reply[at + 3], reply[at + 4] = more and more.holds or 0, more and more.permits or 0
  reply[at + 5], reply[at + 6] = own.limit or 0, more and more.max_hold_ms > 0 and own.left_ms or 0
  write_hold(lock, readers, reader_holds, owner, own)
  if tonumber(own.ttl_ms) ~= held_ttl_ms then
    record_event(KEYS[4], "renewed", lock, owner, own.token, own.mode, "ttl_ms", own.lease_ms)
  end
end
return keep_outcome(reply)
