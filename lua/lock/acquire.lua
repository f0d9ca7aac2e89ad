--- lock.acquire: grant a lease on a resource, or say who holds it.
-- Promises: by Redis time, at most one exclusive holder, or only shared ones, while a lease runs; every grant has a
--   token above all earlier ones of this partition.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 tokens: fencing token counter
--   4 lock: the hold, a hash
--   5 readers: owners of shared holds by end of lease, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who asks
--   5 mode: exclusive or shared
--   6 ttl_ms: lease, ms
--   7 wait_ms: how long the caller waits for a wake-up after a refusal, 0 = not at all, ms
-- Replies:
--   OK token ttl_ms: granted
--   LOCK_HELD mode count [owner token expires_in_ms]: refused, with up to 100 holders
--   LOCK_HOLDERS_FULL: refused, 10000 shared holders
--   LOCK_RELEASED token: this request id was granted the lock, and that grant has ended since
-- Complexity: O(log h) with h shared holders; at most 100 ended leases are cleared away
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/clock
--- @include lib/once
--- @include lib/counter
--- @include lib/holders
local lock, readers, owner, mode = KEYS[4], KEYS[5], ARGV[4], ARGV[5]
local ends_at = now_ms + ARGV[6]
local held = redis.call("HMGET", lock, "mode", "expires", "owner", "token")

if first_outcome then
  local token = string.format("%.0f", first_outcome[2])
  local mine = held[1] == "exclusive" and held[3] == owner and held[4] == token and tonumber(held[2]) > now_ms
  if held[1] == "shared" and redis.call("HGET", lock, "token:" .. owner) == token then
    mine = tonumber(redis.call("ZSCORE", readers, owner)) > now_ms
  end
  if mine then
    return first_outcome
  end
  return { LOCK_RELEASED, token }
end

local blocked = false
if held[1] == "exclusive" then
  blocked = tonumber(held[2]) > now_ms
elseif held[1] == "shared" then
  local live = redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf")
  if mode == "exclusive" then
    blocked = live > 0
  else
    local mine = redis.call("ZSCORE", readers, owner)
    blocked = mine and tonumber(mine) > now_ms
    if not blocked and live >= 10000 then
      return { LOCK_HOLDERS_FULL }
    end
  end
end
if not blocked and counter_is_lost() then
  return { FENCE_MISSING }
end

if blocked then
  -- A release publishes only while this mark runs, so a lock nobody waits for pays nothing for waiting.
  local until_ms = now_ms + ARGV[7]
  if until_ms > now_ms and until_ms > tonumber(redis.call("HGET", lock, "waited_until") or 0) then
    redis.call("HSET", lock, "waited_until", until_ms)
  end
  local refusal = describe_holders(lock, readers)
  table.insert(refusal, 1, LOCK_HELD)
  return refusal
end

local token = redis.call("INCR", KEYS[3])
if mode == "exclusive" then
  if held[1] == "shared" then
    redis.call("UNLINK", lock, readers)
  end
  redis.call("HSET", lock, "mode", mode, "owner", owner, "token", string.format("%.0f", token),
    "expires", ends_at, "ttl", ARGV[6])
  redis.call("PEXPIREAT", lock, ends_at)
else
  if held[1] == "exclusive" then
    redis.call("UNLINK", lock)
  end
  local ended = redis.call("ZRANGEBYSCORE", readers, "-inf", now_ms, "LIMIT", 0, 100)
  for _, gone in ipairs(ended) do
    redis.call("ZREM", readers, gone)
    redis.call("HDEL", lock, "token:" .. gone, "ttl:" .. gone)
  end
  redis.call("HSET", lock, "mode", mode, "token:" .. owner, string.format("%.0f", token), "ttl:" .. owner, ARGV[6])
  redis.call("ZADD", readers, ends_at, owner)
  local last = redis.call("ZRANGE", readers, -1, -1, "WITHSCORES")[2]
  redis.call("PEXPIREAT", lock, last)
  redis.call("PEXPIREAT", readers, last)
end
return keep_outcome({ OK, token, tonumber(ARGV[6]) })
