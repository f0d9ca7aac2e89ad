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
--- @include lib/detail
--- @include lib/hold
--- @include lib/reader
--- @include lib/record
--- @include lib/waiter
--- @include lib/waiting_limit
local lock, readers, reader_holds, waiters, waiter_info, sessions =
  KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local cursor, after = ARGV[2], ARGV[3]
local shown_max = 1000
local out = { OK, "", "", now_ms, waiting_limit(waiter_info) or 0, 0 }
local function show(...)
  for _, value in ipairs({ ... }) do
    out[#out + 1] = value
  end
end

local hold = cursor ~= "" and redis.call("GET", lock)
local mode, token, limit, owner
if hold then
  mode, token, limit, owner = parse_hold(hold)
end
if mode == "exclusive" then
  out[6] = 1
  show(owner, token, redis.call("PTTL", lock), mode, 1)
elseif mode then
  out[5] = mode == "semaphore" and tonumber(limit) or out[5]
  local scanned = redis.call("HSCAN", reader_holds, cursor, "COUNT", shown_max)
  out[2] = scanned[1] ~= "0" and scanned[1] or ""
  for at = 1, #scanned[2], 2 do
    local holder = scanned[2][at]
    local left_ms = ends_of_reader(readers, holder) - now_ms
    if left_ms > 0 then
      local held_token, _, more = parse_record(scanned[2][at + 1])
      out[6] = out[6] + 1
      show(holder, held_token, left_ms, mode, mode == "semaphore" and more.permits or 1)
    end
  end
end

if after ~= "" then
  local places = redis.call("ZRANGEBYSCORE", waiters, "(" .. after, "+inf", "WITHSCORES", "LIMIT", 0, shown_max)
  for at = 1, #places, 2 do
    local session, wanted, _, _, who, detail = parse_waiter(redis.call("HGET", waiter_info, places[at]))
    if tonumber(redis.call("ZSCORE", sessions, session) or 0) > now_ms then
      show(places[at], places[at + 1], who, wanted, wanted == "semaphore" and parse_detail(detail).permits or 1)
    end
  end
  if #places == 2 * shown_max then
    out[3] = places[#places]
  end
end
return out
