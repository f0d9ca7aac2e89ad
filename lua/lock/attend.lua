--- lock.attend: keep a node's waiters in the lines of a partition, and say what a lost message would have said.
-- Promises: waiters live for as long as their session; a grant is named here until it is confirmed or withdrawn.
-- KEYS:
--   1 fence: the partition's fence
--   2 sessions: sessions of nodes with waiters by their end, a sorted set
--   3 granted: grants not confirmed yet, a hash (see lib/granted)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 session: of the node, hexadecimal
--   3 session_ms: how long it lives from now, ms
--   4 cursor: 0 = from the beginning, else as replied
-- Replies:
--   OK is_new cursor [waiter about]: is_new = 1 when the session had ended and its waiters may be gone; for each grant
--     of the session its waiter and token, or 1 and why when its wait was ended; an empty waiter and the lock for each
--     of others that was not confirmed in time; cursor = 0 at the end
-- Complexity: O(g) with g grants not confirmed, 1000 of them at a time; they are confirmed within milliseconds
-- Retry: safe
--- @include lib/fence
--- @include lib/clock
--- @include lib/granted
local sessions, granted, session, session_ms = KEYS[2], KEYS[3], ARGV[2], ARGV[3]
local is_new = tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms
redis.call("ZREMRANGEBYSCORE", sessions, "-inf", now_ms)
redis.call("ZADD", sessions, now_ms + session_ms, session)
redis.call("PEXPIRE", sessions, session_ms)
local scanned = redis.call("HSCAN", granted, ARGV[4], "COUNT", 1000)
local out = { OK, is_new and 1 or 0, scanned[1] }
for at = 1, #scanned[2], 2 do
  local ends_at, token, whose, why, lock = parse_grant(scanned[2][at + 1])
  if whose == session then
    out[#out + 1] = scanned[2][at]
    out[#out + 1] = token == "1" and "1 " .. why or token
  elseif tonumber(ends_at) <= now_ms then
    out[#out + 1] = ""
    out[#out + 1] = lock
  end
  -- By then its session has ended, or its node has heard of it here.
  if tonumber(ends_at) + session_ms <= now_ms then
    redis.call("HDEL", granted, scanned[2][at])
  end
end
return out
