--- lock.cancel: end one wait that stands in a deadlock, and tell its node why.
-- Promises: only a wait that stands at its place still, behind the very hold or wait that was seen to block it, is ended;
--   one that was granted meanwhile never is. Whoever is next gets the lock if there is room.
-- KEYS:
--   1 fence: the partition's fence
--   2 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   3 tokens: fencing token counter
--   4 lock: the hold, a string (see lib/hold)
--   5 readers: owners of shared holds by end of lease, a sorted set
--   6 reader_holds: token and lease of each shared hold, a hash
--   7 waiters: those who wait, in order, a sorted set
--   8 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   9 sessions: sessions of nodes with waiters by their end, a sorted set
--   10 granted: grants not confirmed yet, a hash (see lib/granted)
--   11 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 waiter: id of the place, hexadecimal
--   3 place: where it stands, as lock.blockers tells it
--   4 blocker: who keeps it waiting: the owner of a hold, or the waiter of a place ahead of it
--   5 token: of that hold; empty = the blocker waits, too
--   6 why: what the node is told, without spaces
--   7 wake_channel: where waiting nodes listen
-- Replies:
--   OK waited_ms more: it waited so long, and does no longer; -1 when nothing was done, for it does not wait so any more;
--     more = 1 when lock.hand_over has more to do
-- Complexity: O(log h + log w) with h shared holders and w who wait; bounded as lock.release is
-- Retry: safe
--- @include lib/fence
--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/may_grant
--- @include lib/line
--- @include lib/hand_over
local waiter, place, blocker, token, why, wake_channel = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local now_ms = redis_now_ms()
local function is_waiting(one)
  local info = redis.call("HGET", waiter_info, one)
  return info and tonumber(redis.call("ZSCORE", sessions, (parse_waiter(info))) or 0) > now_ms
end
local stands_at = redis.call("ZSCORE", waiters, waiter)
local is_blocked
local because_of = blocker
if token == "" then
  local ahead = redis.call("ZSCORE", waiters, blocker)
  is_blocked = ahead and tonumber(ahead) < tonumber(place) and is_waiting(blocker)
  because_of = is_blocked and select(5, parse_waiter(redis.call("HGET", waiter_info, blocker)))
else
  local held = own_hold(lock, readers, reader_holds, blocker)
  is_blocked = held and held.token == token
end
if not (is_blocked and stands_at and tonumber(stands_at) == tonumber(place) and is_waiting(waiter)) then
  return { OK, -1, 0 }
end

local session, mode, _, _, owner = parse_waiter(redis.call("HGET", waiter_info, waiter))
leave_line(waiters, waiter_info, waiter, mode)
record_event(KEYS[11], "deadlock", lock, owner, "0", mode, "because_of", because_of)
redis.call("HSET", granted, waiter, string.format("%.0f 1 %s %s %s", now_ms + provision_ms, session, why, lock))
redis.call("PEXPIRE", granted, granted_keep_ms)
redis.call("PUBLISH", wake_channel .. ":" .. session, waiter .. " 1 " .. why)
local more = 0
if grants_begin_in_ms(tokens, KEYS[2]) == 0 then
  more = select(2, hand_over(now_ms, wake_channel))
elseif redis.call("EXISTS", waiters) == 0 then
  redis.call("DEL", waiter_info)
end
return { OK, math.max(0, now_ms - math.floor(place / 1000)), more }
