--- lock.reattach: take up a hold that an older generation granted and Redis lost.
-- Promises: only while the quarantine runs, when nothing new is granted; of two holds that exclude each other the one
--   with the higher token stays, for it was granted after the other had ended.
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
--   6 mode: exclusive or shared
--   7 ttl_ms: lease from now, ms
-- Replies:
--   OK ttl_ms mode [again]: the lease runs for ttl_ms from now; again = 1 when this is a repeat, and it began earlier
--   LOCK_LOST: the quarantine is over, a later hold stands against it, the hold taken up has ended since, or there are
--     10000 shared holders
-- Complexity: O(log h) with h shared holders; at most 100 of them are compared, and 100 ended leases cleared away
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/event
--- @include lib/own_hold
--- @include lib/quarantine
--- @include lib/shared_hold
local lock, readers, reader_holds, quarantine = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local owner, token, mode, ttl_ms = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
if first_outcome then
  -- What ended since it was taken up, stays ended: a release ended it, or a later hold that now stands in its place.
  if own_hold(lock, readers, reader_holds, owner) ~= token then
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
local hold = redis.call("GET", lock)
local is_exclusive, rival
if hold then
  is_exclusive, rival = parse_hold(hold)
end
local rivals = is_exclusive and { rival } or {}
if hold and not is_exclusive then
  if mode == "exclusive" then
    local live = redis.call("ZRANGEBYSCORE", readers, "(" .. now_ms, "+inf", "LIMIT", 0, 101)
    -- More readers than can be compared: the lock was shared until now, which is reason enough to believe them.
    if #live > 100 then
      return { LOCK_LOST }
    end
    for _, reader in ipairs(live) do
      rivals[#rivals + 1] = string.match(redis.call("HGET", reader_holds, reader), "^%d+")
    end
  elseif ends_of_reader(readers, owner) > now_ms then
    rivals[1] = string.match(redis.call("HGET", reader_holds, owner), "^%d+")
  elseif redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") >= 10000 then
    return { LOCK_LOST }
  end
end
for _, later in ipairs(rivals) do
  if tonumber(later) > tonumber(token) then
    record(KEYS[7], "lost", lock, owner, token, mode)
    return { LOCK_LOST }
  end
end

if mode == "exclusive" then
  redis.call("UNLINK", readers, reader_holds)
  redis.call("SET", lock, "x" .. token .. " " .. ttl_ms .. " 0 " .. owner, "PX", ttl_ms)
else
  if is_exclusive then
    redis.call("SET", lock, "s0 0 0 ")
  end
  hold_shared(lock, readers, reader_holds, owner, token, ttl_ms, now_ms)
end
record(KEYS[7], "reattached", lock, owner, token, mode, "ttl_ms", ttl_ms)
return keep_outcome({ OK, tonumber(ttl_ms), mode })
