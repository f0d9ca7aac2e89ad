--- lock.release: end a hold now and wake those who wait.
-- Promises: only the hold of this owner (and of this token, if one is given) ends; nodes with waiters are told.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 lock: the hold, a hash
--   4 readers: owners of shared holds by end of lease, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who releases
--   5 token: of the hold to end, empty = whichever this owner has
--   6 wake_channel: where waiting nodes listen
-- Replies:
--   OK: the hold ended
--   LOCK_NOT_HELD: this owner holds nothing here
--   TOKEN_STALE: this owner's hold has another token
-- Complexity: O(log h) with h shared holders
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
if first_outcome then
  return first_outcome
end
local lock, readers, owner = KEYS[3], KEYS[4], ARGV[4]
local held = redis.call("HMGET", lock, "mode", "owner", "token", "expires", "waited_until")
local token, expires
if held[1] == "exclusive" and held[2] == owner then
  token, expires = held[3], tonumber(held[4])
elseif held[1] == "shared" then
  token, expires = redis.call("HGET", lock, "token:" .. owner), tonumber(redis.call("ZSCORE", readers, owner) or 0)
end
if not token or expires <= now_ms then
  return { LOCK_NOT_HELD }
end
if ARGV[5] ~= "" and ARGV[5] ~= token then
  return { TOKEN_STALE }
end

if held[1] == "exclusive" then
  redis.call("DEL", lock)
else
  redis.call("ZREM", readers, owner)
  redis.call("HDEL", lock, "token:" .. owner, "ttl:" .. owner)
  if redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") == 0 then
    redis.call("UNLINK", lock, readers)
  end
end
-- Also when other readers remain: the hold that ended may be the one whose end a waiter reckons with.
if tonumber(held[5] or 0) > now_ms then
  redis.call("PUBLISH", ARGV[6], lock)
end
return keep_outcome({ OK })
