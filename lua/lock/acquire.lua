--- lock.acquire: grant a lease on a resource, or say who holds it.
-- Promises: by Redis time, at most one exclusive holder, or only shared ones, or those of a semaphore with no more
--   permits than its limit, while a lease runs; every grant has a token above all earlier ones of this partition, but for
--   a re-entrant hold that is taken once more; nothing else is granted while others wait in line.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 tokens: fencing token counter
--   4 lock: the hold, a string (see lib/hold)
--   5 readers: owners of shared holds by end of lease, a sorted set
--   6 reader_holds: token and lease of each shared hold, a hash
--   7 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   8 waiters: those who wait, in order, a sorted set
--   9 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who asks
--   5 mode: exclusive, shared or semaphore
--   6 ttl_ms: lease, ms
--   7 detail: what it asks beyond that (see lib/detail), empty = a plain lock
-- Replies:
--   OK token ttl_ms [again holds permits hold_left_ms was_plain]: granted; again = 1 when this is a repeat, whose lease
--     began earlier; more of a re-entrant hold: how often this owner has it now, its permits, for how long it may be held
--     yet (0 = no limit); was_plain = 1 when it became re-entrant only now
--   LOCK_HELD mode count [owner token expires_in_ms] waiters [about]: refused, with up to 100 holders and how many wait;
--     with none when it is only for those who wait; what there is to say about them is told in lib/holders
--   LIMIT_MISMATCH limit: refused, the semaphore is held with another limit
--   LOCK_HOLDERS_FULL: refused, 10000 shared holders
--   LOCK_QUARANTINE left_ms: refused for so long, for a lease that Redis lost may still run
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h) with h holders; at most 100 ended leases are cleared away, of a semaphore 1000
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  local lock, owner, ttl_ms = KEYS[4], ARGV[4], ARGV[6]
  local is_special = first_outcome or counter_is_lost or ARGV[5] ~= "exclusive" or ARGV[7] ~= ""
  if not is_special and redis.call("EXISTS", lock, KEYS[8], KEYS[9]) == 0 then
    local token = redis.call("INCR", KEYS[3])
    redis.call("SET", lock, string.format("x%.0f %s 0 %s", token, ttl_ms, owner), "PX", ttl_ms)
    return keep_outcome({ OK, token, tonumber(ttl_ms) })
  end
end

--- @include lib/detail
--- @include lib/event
--- @include lib/held
--- @include lib/hold_left
--- @include lib/may_grant
--- @include lib/new_record
--- @include lib/own_hold
--- @include lib/permits
--- @include lib/refuse
--- @include lib/told_again
--- @include lib/write_hold
local lock, readers, reader_holds, owner, mode = KEYS[4], KEYS[5], KEYS[6], ARGV[4], ARGV[5]
local ttl_ms, asked, now_ms = tonumber(ARGV[6]), parse_detail(ARGV[7]), redis_now_ms()
local own = (first_outcome or asked.is_reentrant) and own_hold(lock, readers, reader_holds, owner)
if first_outcome then
  local token = string.format("%.0f", first_outcome[2])
  if own and own.token == token then
    told_again()
    first_outcome[4] = 1
    return first_outcome
  end
  return { LOCK_RELEASED, token }
end

local held = look_at_hold(lock, readers, now_ms)
if mode == "semaphore" and held.mode == mode and held.limit ~= asked.limit then
  return { LIMIT_MISMATCH, held.limit }
end
local enters = own and own.mode == mode and (own.more and own.more.permits or 0) >= asked.permits
if not enters and held.mode then
  if held.mode ~= mode or mode == "exclusive" or ends_of_reader(readers, owner) > now_ms then
    return refuse_with_holders(LOCK_HELD, lock, readers, reader_holds, KEYS[8])
  end
  if mode == "shared" and held.live >= 10000 then
    return { LOCK_HOLDERS_FULL }
  end
end
if counter_is_lost then
  local left_ms = grants_begin_in_ms(KEYS[3], KEYS[7])
  if not left_ms then
    return { FENCE_MISSING }
  end
  if left_ms > 0 then
    return { LOCK_QUARANTINE, left_ms }
  end
end

-- Also past those who wait: they wait for this very owner.
if enters then
  local was_plain = not own.more
  own.more = own.more or { holds = 0, permits = 0, granted_at = now_ms, max_hold_ms = 0, metadata = "" }
  own.more.holds, own.now_ms = math.max(own.more.holds, 1) + 1, now_ms
  local left_ms = own.ends_at and own.ends_at - now_ms or redis.call("PTTL", lock)
  own.ttl_ms = math.max(tonumber(own.ttl_ms), ttl_ms)
  own.lease_ms = math.max(left_ms, math.min(ttl_ms, hold_left(own.more, now_ms)))
  write_hold(lock, readers, reader_holds, owner, own)
  local more, reply = own.more, { OK, tonumber(own.token), own.lease_ms, 0 }
  reply[5], reply[6], reply[7] = more.holds, more.permits, more.max_hold_ms > 0 and hold_left(more, now_ms) or 0
  reply[8] = was_plain and 1 or 0
  return keep_outcome(reply)
end
-- Free, or there is room, but not for a newcomer.
local is_full = redis.call("EXISTS", KEYS[8]) == 1
  or not has_permits(held, asked.permits, lock, readers, reader_holds, now_ms)
if is_full then
  return refuse_with_holders(LOCK_HELD, lock, readers, reader_holds, KEYS[8])
end

local token = redis.call("INCR", KEYS[3])
local numeral = string.format("%.0f", token)
write_hold(lock, readers, reader_holds, owner, {
  mode = mode,
  token = numeral,
  ttl_ms = ttl_ms,
  lease_ms = ttl_ms,
  now_ms = now_ms,
  more = new_record(asked, now_ms),
  limit = asked.limit,
})
record_event(KEYS[9], "granted", lock, owner, numeral, mode, "ttl_ms", ttl_ms)
local reply = { OK, token, ttl_ms }
if asked.is_reentrant then
  reply = { OK, token, ttl_ms, 0, 1, asked.permits, asked.max_hold_ms, 0 }
end
return keep_outcome(reply)
