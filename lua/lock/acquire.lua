--- lock.acquire: grant a lease on a resource, or say who holds it.
-- Promises: by Redis time, at most one exclusive holder, or only shared ones, while a lease runs; every grant has a
--   token above all earlier ones of this partition; nothing is granted while others wait in line.
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
--   5 mode: exclusive or shared
--   6 ttl_ms: lease, ms
-- Replies:
--   OK token ttl_ms [again]: granted; again = 1 when this is a repeat, whose lease began earlier
--   LOCK_HELD mode count [owner token expires_in_ms] waiters: refused, with up to 100 holders and how many wait; with
--     none when it is only for those who wait
--   LOCK_HOLDERS_FULL: refused, 10000 shared holders
--   LOCK_QUARANTINE left_ms: refused for so long, for a lease that Redis lost may still run
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h) with h shared holders; at most 100 ended leases are cleared away
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  local lock, owner, ttl_ms = KEYS[4], ARGV[4], ARGV[6]
  local is_special = first_outcome or counter_is_lost or ARGV[5] ~= "exclusive"
  if not is_special and redis.call("EXISTS", lock, KEYS[8], KEYS[9]) == 0 then
    local token = redis.call("INCR", KEYS[3])
    redis.call("SET", lock, string.format("x%.0f %s 0 %s", token, ttl_ms, owner), "PX", ttl_ms)
    return keep_outcome({ OK, token, tonumber(ttl_ms) })
  end
end

--- @include lib/event
--- @include lib/own_hold
--- @include lib/holders
--- @include lib/may_grant
--- @include lib/shared_hold
local lock, readers, reader_holds, owner, mode, ttl_ms = KEYS[4], KEYS[5], KEYS[6], ARGV[4], ARGV[5], ARGV[6]
local hold = redis.call("GET", lock)
if first_outcome then
  local token = string.format("%.0f", first_outcome[2])
  if own_hold(lock, readers, reader_holds, owner) == token then
    first_outcome[4] = 1
    return first_outcome
  end
  return { LOCK_RELEASED, token }
end

local is_exclusive = hold and parse_hold(hold)
local now_ms = redis_now_ms()
local blocked = is_exclusive
if hold and not is_exclusive then
  local live = redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf")
  if mode == "exclusive" then
    blocked = live > 0
  else
    blocked = ends_of_reader(readers, owner) > now_ms
    if not blocked and live >= 10000 then
      return { LOCK_HOLDERS_FULL }
    end
  end
end
if blocked then
  return describe_holders(LOCK_HELD, lock, readers, reader_holds, KEYS[8])
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
-- Free, or shared by others, but not for a newcomer.
if redis.call("EXISTS", KEYS[8]) == 1 then
  return describe_holders(LOCK_HELD, lock, readers, reader_holds, KEYS[8])
end

local token = redis.call("INCR", KEYS[3])
local numeral = string.format("%.0f", token)
if mode == "exclusive" then
  redis.call("UNLINK", readers, reader_holds)
  redis.call("SET", lock, "x" .. numeral .. " " .. ttl_ms .. " 0 " .. owner, "PX", ttl_ms)
else
  hold_shared(lock, readers, reader_holds, owner, numeral, ttl_ms, now_ms)
end
record(KEYS[9], "granted", lock, owner, numeral, mode, "ttl_ms", ttl_ms)
return keep_outcome({ OK, token, tonumber(ttl_ms) })
