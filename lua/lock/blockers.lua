--- lock.blockers: who holds a lock and who waits for it, completely, to find deadlocks.
-- Promises: changes nothing; holders whose lease ended and waiters of ended sessions are not shown.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock: the hold, a string (see lib/hold)
--   3 readers: owners of shared holds by end of lease, a sorted set
--   4 reader_holds: token and lease of each shared hold, a hash
--   5 waiters: those who wait, in order, a sorted set
--   6 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   7 sessions: sessions of nodes with waiters by their end, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 cursor: where to go on with the holders, 0 = from the beginning; without one none are shown
--   3 after: the place in the line to go on after, 0 = from the beginning; without one none are shown
-- Replies:
--   OK cursor after now_ms limit holders [owner token expires_in_ms mode permits] [waiter place owner mode permits]:
--     Redis TIME, the limit of a semaphore, so many holders, and those who wait, in order; cursor and after go into the
--     next call and are empty at the end
-- Complexity: O(n) with n shown, about 1000 holders and 1000 who wait at a time
-- Retry: read-only
--- @include lib/fence
--- @include lib/clock
--- @include lib/hold
--- @include lib/reader
--- @include lib/waiter
local lock, readers, reader_holds, waiters, waiter_info, sessions =
  KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local shown_max = 1000
local out = { OK, "", "", now_ms, 0, 0 }

local cursor, after = ARGV[2], ARGV[3]
local hold = cursor ~= "" and redis.call("GET", lock)
local is_exclusive, token, owner, _
if hold then
  is_exclusive, token, _, owner = parse_hold(hold)
end
if is_exclusive then
  out[6] = 1
  for _, value in ipairs({ owner, token, redis.call("PTTL", lock), "exclusive", 1 }) do
    out[#out + 1] = value
  end
elseif hold then
  local scanned = redis.call("HSCAN", reader_holds, cursor, "COUNT", shown_max)
  out[2] = scanned[1] ~= "0" and scanned[1] or ""
  for at = 1, #scanned[2], 2 do
    local reader = scanned[2][at]
    local left_ms = ends_of_reader(readers, reader) - now_ms
    if left_ms > 0 then
      out[6] = out[6] + 1
      for _, value in ipairs({ reader, string.match(scanned[2][at + 1], "^%d+"), left_ms, "shared", 1 }) do
        out[#out + 1] = value
      end
    end
  end
end

if after ~= "" then
  local places = redis.call("ZRANGEBYSCORE", waiters, "(" .. after, "+inf", "WITHSCORES", "LIMIT", 0, shown_max)
  for at = 1, #places, 2 do
    local session, mode, _, _, who = parse_waiter(redis.call("HGET", waiter_info, places[at]))
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) > now_ms then
      for _, value in ipairs({ places[at], places[at + 1], who, mode, 1 }) do
        out[#out + 1] = value
      end
    end
  end
  if #places == 2 * shown_max then
    out[3] = places[#places]
  end
end
return out
