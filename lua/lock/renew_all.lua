--- lock.renew_all: set the time that is left of one owner's holds on several locks of a partition, all or none.
-- Promises: as lock.renew for each; when one is lost the others keep what they have left.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   4+ lock: the hold, a string (see lib/hold)
--   5+ readers: owners of shared holds by end of lease, a sorted set
--   6+ reader_holds: token and lease of each shared hold, a hash
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who renews
--   5 ttl_ms: new lease, ms; empty = of each as long as granted or renewed last
--   6+ token: of the hold
-- Replies:
--   OK mark [ttl_ms mode]: each lease runs for its ttl_ms from now; mark = 1 when this is a repeat, and they began earlier,
--     2 when one is shorter than before, else 0
--   LOCK_LOST [code]: nothing was renewed: OK for a hold that runs, LOCK_LOST for one that this owner does not have
--   LOCK_QUARANTINE left_ms: as of lock.renew, for one of them at least
-- Complexity: O(n log h) with n locks, at most 16, and h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/own_hold
--- @include lib/last_reader
--- @include lib/quarantine
local owner, ttl_ms = ARGV[4], ARGV[5]
local locks = math.min(math.floor((#KEYS - 3) / 3), 16)
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
  local at = 3 * number
  return KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
end
local holds, codes, lost = {}, { LOCK_LOST }, false
for number = 1, locks do
  local lock, readers, reader_holds = keys_of(number)
  local token, held_ttl_ms, is_exclusive, now_ms = own_hold(lock, readers, reader_holds, owner)
  lost = lost or token ~= ARGV[5 + number]
  codes[number + 1] = token == ARGV[5 + number] and OK or LOCK_LOST
  holds[number] = { held_ttl_ms, is_exclusive, now_ms }
end
if lost then
  return codes
end
-- Only now: a repeat must not call a lease renewed that has ended since.
if first_outcome then
  first_outcome[2] = 1
  return first_outcome
end

local reply = { OK, 0 }
for number = 1, locks do
  local lock, readers, reader_holds = keys_of(number)
  local token, hold = ARGV[5 + number], holds[number]
  local held_ttl_ms, is_exclusive, now_ms = hold[1], hold[2], hold[3]
  local lease_ms = ttl_ms == "" and held_ttl_ms or ttl_ms
  if tonumber(lease_ms) < tonumber(held_ttl_ms) then
    reply[2] = 2
  end
  reply[#reply + 1] = tonumber(lease_ms)
  reply[#reply + 1] = is_exclusive and "exclusive" or "shared"
  if is_exclusive then
    redis.call("SET", lock, "x" .. token .. " " .. lease_ms .. " 0 " .. owner, "PX", lease_ms)
  else
    redis.call("HSET", reader_holds, owner, token .. " " .. lease_ms)
    redis.call("ZADD", readers, now_ms + lease_ms, owner)
    end_with_last_reader(lock, readers, reader_holds)
  end
end
return keep_outcome(reply)
