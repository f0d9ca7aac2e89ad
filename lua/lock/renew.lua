--- lock.renew: set the time a hold has left.
-- Promises: the lease ends ttl_ms from now by Redis time, never added to what was left; a hold that ended stays ended.
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
--   OK ttl_ms mode [mark]: the lease runs for ttl_ms from now; mark = 1 when this is a repeat, and it began earlier,
--     2 when the lease is shorter than before
--   LOCK_LOST: this owner has no hold with this token
--   LOCK_QUARANTINE left_ms: Redis lost data and may show a hold that has ended, or none that runs: see lock.reattach
-- Complexity: O(log h) with h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/own_hold
--- @include lib/last_reader
--- @include lib/quarantine
local lock, readers, reader_holds, owner, token, ttl_ms = KEYS[3], KEYS[4], KEYS[5], ARGV[4], ARGV[5], ARGV[6]
-- What Redis still has of an older generation is no proof either: it may be a copy from before the lease was shortened.
if tonumber(token) < string.match(ARGV[1], "^%d+") * 68719476736 then
  local left_ms = quarantine_left(KEYS[6]) or 0
  if left_ms > 0 then
    return { LOCK_QUARANTINE, left_ms }
  end
end
local held_token, held_ttl_ms, is_exclusive, now_ms = own_hold(lock, readers, reader_holds, owner)
if held_token ~= token then
  return { LOCK_LOST }
end
-- Only now: a repeat must not call a lease renewed that has ended since.
if first_outcome then
  first_outcome[4] = 1
  return first_outcome
end

if ttl_ms == "" then
  ttl_ms = held_ttl_ms
end
local reply = { OK, tonumber(ttl_ms), is_exclusive and "exclusive" or "shared" }
if reply[2] < tonumber(held_ttl_ms) then
  reply[4] = 2
end
if not is_exclusive then
  redis.call("HSET", reader_holds, owner, token .. " " .. ttl_ms)
  redis.call("ZADD", readers, now_ms + ttl_ms, owner)
  end_with_last_reader(lock, readers, reader_holds)
elseif ttl_ms == held_ttl_ms then
  redis.call("PEXPIRE", lock, ttl_ms)
else
  redis.call("SET", lock, "x" .. token .. " " .. ttl_ms .. " 0 " .. owner, "PX", ttl_ms)
end
if ttl_ms == held_ttl_ms then
  return keep_outcome(reply)
end
--- @include lib/event
record(KEYS[7], "renewed", lock, owner, token, reply[3], "ttl_ms", ttl_ms)
return keep_outcome(reply)
