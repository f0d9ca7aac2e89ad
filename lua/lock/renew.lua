--- lock.renew: set the time a hold has left.
-- Promises: the lease ends ttl_ms from now by Redis time, never added to what was left; a hold that ended stays ended.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 lock: the hold, a hash
--   4 readers: owners of shared holds by end of lease, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who renews
--   5 token: of the hold
--   6 ttl_ms: new lease, ms; empty = as long as granted or renewed last
-- Replies:
--   OK ttl_ms: the lease runs for ttl_ms from now
--   LOCK_LOST: this owner has no hold with this token
-- Complexity: O(log h) with h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
local lock, readers, owner, token = KEYS[3], KEYS[4], ARGV[4], ARGV[5]
local held = redis.call("HMGET", lock, "mode", "owner", "token", "expires", "ttl", "token:" .. owner, "ttl:" .. owner)
local is_shared = held[1] == "shared"
local mine
if is_shared then
  mine = held[6] == token and tonumber(redis.call("ZSCORE", readers, owner)) > now_ms
else
  mine = held[1] and held[2] == owner and held[3] == token and tonumber(held[4]) > now_ms
end
if not mine then
  return { LOCK_LOST }
end
-- Only now: a repeat must not call a lease renewed that has ended since.
if first_outcome then
  return first_outcome
end

local ttl_ms = ARGV[6]
if ttl_ms == "" then
  ttl_ms = is_shared and held[7] or held[5]
end
local ends_at = now_ms + ttl_ms
if is_shared then
  redis.call("HSET", lock, "ttl:" .. owner, ttl_ms)
  redis.call("ZADD", readers, ends_at, owner)
  ends_at = redis.call("ZRANGE", readers, -1, -1, "WITHSCORES")[2]
  redis.call("PEXPIREAT", readers, ends_at)
else
  redis.call("HSET", lock, "expires", ends_at, "ttl", ttl_ms)
end
redis.call("PEXPIREAT", lock, ends_at)
return keep_outcome({ OK, tonumber(ttl_ms) })
