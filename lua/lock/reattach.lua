--- lock.reattach: take up a hold that an older generation granted and Redis lost.
-- Promises: only while the quarantine runs, when nothing new is granted; of two holds that exclude each other the one
--   with the higher token stays, for it was granted after the other had ended; a semaphore has never more than its limit.
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
--   4 owner: who held the lock
--   5 token: of the hold
--   6 mode: exclusive, shared or semaphore
--   7 ttl_ms: lease from now, ms
--   8 more: of a hold that is more than plain, holds, permits, limit and hold_left_ms as lock.renew replies them, with
--     spaces between; empty = a plain one
-- Replies:
--   OK ttl_ms mode [again]: the lease runs for ttl_ms from now; again = 1 when this is a repeat, and it began earlier
--   LOCK_LOST: the quarantine is over, a later hold stands against it, the hold taken up has ended since, there are
--     10000 holders, or not so many permits
-- Complexity: O(log h) with h holders; at most 100 of them are compared, and 100 ended leases cleared away, of a
--   semaphore 1000
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/event
--- @include lib/held
--- @include lib/own_hold
--- @include lib/permits
--- @include lib/quarantine
--- @include lib/write_hold
local lock, readers, reader_holds, quarantine = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local owner, token, mode = ARGV[4], ARGV[5], ARGV[6]
local ttl_ms = tonumber(ARGV[7])
local own = own_hold(lock, readers, reader_holds, owner)
if first_outcome then
  -- What ended since it was taken up, stays ended: a release ended it, or a later hold that now stands in its place.
  if not own or own.token ~= token then
    return { LOCK_LOST }
  end
  first_outcome[4] = 1
  return first_outcome
end
local left_ms = quarantine_left(quarantine) or 0
if left_ms == 0 or tonumber(token) >= string.match(ARGV[1], "^%d+") * 68719476736 then
  return { LOCK_LOST }
end

local now_ms = redis_now_ms()
local holds, permits, limit, hold_left_ms = string.match(ARGV[8], "^(%d+) (%d+) (%d+) (%d+)$")
local hold = { mode = mode, token = token, ttl_ms = ttl_ms, lease_ms = ttl_ms, now_ms = now_ms }
if holds then
  hold.limit = tonumber(limit)
  -- The metadata is gone: nodes do not remember it.
  hold.more = { holds = tonumber(holds), permits = tonumber(permits), granted_at = now_ms, metadata = "" }
  hold.more.max_hold_ms = tonumber(hold_left_ms)
end
local held = look_at_hold(lock, readers, now_ms)
local stands_beside = held.mode == mode and mode ~= "exclusive" and (mode == "shared" or held.limit == hold.limit)
local rivals = own and { own.token } or {}
if stands_beside then
  local needed = mode == "semaphore" and permits - (own and own.more.permits or 0) or 0
  if not own and held.live >= 10000 or not has_permits(held, needed, lock, readers, reader_holds, now_ms) then
    return { LOCK_LOST }
  end
elseif held.mode == "exclusive" then
  local _, rival = parse_hold(redis.call("GET", lock))
  rivals = { rival }
elseif held.mode then
  local live = redis.call("ZRANGEBYSCORE", readers, "(" .. now_ms, "+inf", "LIMIT", 0, 101)
  -- More than can be compared: the lock was theirs until now, which is reason enough to believe them.
  if #live > 100 then
    return { LOCK_LOST }
  end
  for _, reader in ipairs(live) do
    rivals[#rivals + 1] = string.match(redis.call("HGET", reader_holds, reader), "^%d+")
  end
end
for _, later in ipairs(rivals) do
  if tonumber(later) > tonumber(token) then
    record_event(KEYS[7], "lost", lock, owner, token, mode)
    return { LOCK_LOST }
  end
end

if held.mode == "exclusive" then
  redis.call("DEL", lock)
end
write_hold(lock, readers, reader_holds, owner, hold)
record_event(KEYS[7], "reattached", lock, owner, token, mode, "ttl_ms", ttl_ms)
return keep_outcome({ OK, ttl_ms, mode })
